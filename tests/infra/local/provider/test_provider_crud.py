"""Groups, rules, keys and addresses through the servicer, against EC2 in this process."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.local.provider.driver import Aborted, Engine, Resource

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgmUOQlbw9UztnnHrDH8/fqMVCpJcBYrmf5ewxBL0bF"


def group_of(ec2: Any, resource: Resource) -> dict[str, Any]:
    found: dict[str, Any] = ec2.describe_security_groups(GroupIds=[resource.id])["SecurityGroups"][0]
    return found


@pytest.fixture
def group(engine: Engine) -> Resource:
    return engine.create("SecurityGroup", {"tags": {"Name": "web"}})


def rule(group: Resource, **changed: Any) -> dict[str, Any]:
    base = {
        "securityGroupId": group.id,
        "ipProtocol": "tcp",
        "fromPort": 22,
        "toPort": 22,
        "cidrIpv4": "10.0.0.0/8",
    }
    return {**base, **changed}


class TestSecurityGroup:
    def test_it_is_created_closed_in_both_directions(self, engine: Engine, ec2: Any, group: Resource) -> None:
        found = group_of(ec2, group)
        assert (found["IpPermissions"], found["IpPermissionsEgress"]) == ([], [])
        assert group.outputs["name"] == found["GroupName"]
        assert group.outputs["description"] == "Managed by Pulumi"
        assert group.outputs["arn"].endswith(f":security-group/{group.id}")
        assert group.outputs["vpcId"] == found["VpcId"]
        assert group.outputs["tags"] == {"Name": "web"}
        assert group.outputs["tagsAll"] == {"Name": "web", "project": "onebox"}

    def test_a_prefix_makes_a_name_that_starts_with_it(self, engine: Engine) -> None:
        assert engine.create("SecurityGroup", {"namePrefix": "web-"}).outputs["name"].startswith("web-")

    def test_tags_change_in_place_and_default_tags_stay(
        self, engine: Engine, ec2: Any, group: Resource
    ) -> None:
        updated = engine.update(group, {"tags": {"stage": "one"}})
        assert updated.outputs["tagsAll"] == {"stage": "one", "project": "onebox"}
        assert {tag["Key"] for tag in group_of(ec2, group)["Tags"]} == {"stage", "project"}

    def test_a_tag_made_by_hand_is_drift_that_the_next_update_undoes(
        self, engine: Engine, ec2: Any, group: Resource
    ) -> None:
        ec2.create_tags(Resources=[group.id], Tags=[{"Key": "by-hand", "Value": "x"}])
        found = engine.refresh(group)
        assert found is not None
        assert found.inputs["tags"] == {"Name": "web", "by-hand": "x"}
        program = {"tags": {"Name": "web"}}
        assert list(engine.diff(found, program).detailedDiff) == ['tags["by-hand"]']
        engine.update(found, program)
        assert {tag["Key"] for tag in group_of(ec2, group)["Tags"]} == {"Name", "project"}

    def test_nothing_changed_means_no_difference_after_refresh(self, engine: Engine, group: Resource) -> None:
        found = engine.refresh(group)
        assert found is not None
        assert found.inputs == group.inputs
        assert found.outputs == group.outputs

    def test_gone_is_gone(self, engine: Engine, group: Resource) -> None:
        engine.delete(group)
        assert engine.refresh(group) is None
        engine.delete(group)


class TestRules:
    @pytest.mark.parametrize(
        ("kind", "egress"), [("SecurityGroupIngressRule", False), ("SecurityGroupEgressRule", True)]
    )
    def test_a_rule_lives(self, engine: Engine, ec2: Any, group: Resource, kind: str, egress: bool) -> None:
        made = engine.create(kind, rule(group, description="ssh", tags={"a": "b"}))
        live = ec2.describe_security_group_rules(SecurityGroupRuleIds=[made.id])["SecurityGroupRules"][0]
        assert (live["IsEgress"], live["FromPort"], live["CidrIpv4"]) == (egress, 22, "10.0.0.0/8")
        assert made.outputs["securityGroupRuleId"] == made.id
        assert made.outputs["tagsAll"] == {"a": "b", "project": "onebox"}
        found = engine.refresh(made)
        assert found is not None
        assert found.inputs == made.inputs

        changed = engine.update(
            made, rule(group, fromPort=80, toPort=81, cidrIpv4="0.0.0.0/0", description="web")
        )
        live = ec2.describe_security_group_rules(SecurityGroupRuleIds=[made.id])["SecurityGroupRules"][0]
        assert (live["FromPort"], live["ToPort"], live["CidrIpv4"]) == (80, 81, "0.0.0.0/0")
        assert changed.outputs["description"] == "web"
        assert changed.outputs["tagsAll"] == {"project": "onebox"}

        engine.delete(changed)
        assert engine.refresh(changed) is None
        engine.delete(changed)

    def test_all_protocols_need_no_ports(self, engine: Engine, group: Resource) -> None:
        given = {"securityGroupId": group.id, "ipProtocol": "-1", "cidrIpv4": "0.0.0.0/0"}
        made = engine.create("SecurityGroupEgressRule", given)
        found = engine.refresh(made)
        assert found is not None
        assert engine.diff(found, given).changes == 1, "no difference"

    def test_an_ipv6_rule_is_made_and_read(self, engine: Engine, group: Resource) -> None:
        given = {
            "securityGroupId": group.id,
            "ipProtocol": "tcp",
            "fromPort": 1,
            "toPort": 2,
            "cidrIpv6": "::/0",
        }
        assert engine.create("SecurityGroupIngressRule", given).outputs["cidrIpv6"] == "::/0"

    def test_a_rule_revoked_by_hand_is_gone(self, engine: Engine, ec2: Any, group: Resource) -> None:
        made = engine.create("SecurityGroupIngressRule", rule(group))
        ec2.revoke_security_group_ingress(GroupId=group.id, SecurityGroupRuleIds=[made.id])
        assert engine.refresh(made) is None

    def test_a_rule_of_a_group_that_is_gone_is_gone(self, engine: Engine, ec2: Any, group: Resource) -> None:
        made = engine.create("SecurityGroupIngressRule", rule(group))
        ec2.delete_security_group(GroupId=group.id)
        assert engine.refresh(made) is None
        engine.delete(made)

    def test_a_rule_made_twice_is_refused_with_ec2_s_reason(self, engine: Engine, group: Resource) -> None:
        engine.create("SecurityGroupIngressRule", rule(group))
        with pytest.raises(
            Aborted, match=r"EC2 refused AuthorizeSecurityGroupIngress \(InvalidPermission.Duplicate\)"
        ):
            engine.create("SecurityGroupIngressRule", rule(group))


class TestKeyPair:
    def test_a_key_lives(self, engine: Engine, ec2: Any) -> None:
        made = engine.create("KeyPair", {"publicKey": f"{KEY} me@here"})
        assert made.id == made.outputs["keyName"]
        assert made.id.startswith("it-")
        assert made.outputs["keyPairId"].startswith("key-")
        assert made.outputs["fingerprint"]
        found = engine.refresh(made)
        assert found is not None
        assert found.inputs == made.inputs
        updated = engine.update(made, {"publicKey": f"{KEY} me@here", "tags": {"a": "b"}})
        assert updated.outputs["tagsAll"] == {"a": "b", "project": "onebox"}
        engine.delete(made)
        assert engine.refresh(made) is None
        engine.delete(made)

    def test_it_is_imported_by_its_name(self, engine: Engine, ec2: Any) -> None:
        ec2.import_key_pair(KeyName="by-hand", PublicKeyMaterial=KEY.encode())
        found = engine.refresh(Resource(engine.create("KeyPair", {"publicKey": KEY}).urn, "by-hand", {}, {}))
        assert found is not None
        assert found.inputs["keyName"] == "by-hand"
        assert found.inputs["publicKey"].startswith(KEY)


class TestAddress:
    @pytest.fixture
    def instance(self, engine: Engine, image: str) -> Resource:
        return engine.create("Instance", {"ami": image, "instanceType": "t3.small"})

    def test_an_address_lives_and_moves_with_its_association(
        self, engine: Engine, ec2: Any, instance: Resource
    ) -> None:
        address = engine.create("Eip", {"tags": {"a": "b"}})
        assert address.outputs["allocationId"] == address.id
        assert address.outputs["domain"] == "vpc"
        given = {"instanceId": instance.id, "allocationId": address.id}
        link = engine.create("EipAssociation", given)
        assert link.outputs["publicIp"] == address.outputs["publicIp"]
        refreshed = engine.refresh(address)
        assert refreshed is not None
        assert refreshed.outputs["instance"] == instance.id
        assert engine.diff(refreshed, {"tags": {"a": "b"}}).changes == 1, (
            "an association is no drift of the address"
        )

        other = engine.create("Instance", {"ami": instance.inputs["ami"], "instanceType": "t3.small"})
        moved = engine.create("EipAssociation", {**given, "instanceId": other.id})
        engine.delete(link)
        live = ec2.describe_addresses(AllocationIds=[address.id])["Addresses"][0]
        assert live["InstanceId"] == other.id, "taking the old association off leaves the new one"

        engine.delete(moved)
        assert engine.refresh(moved) is None
        engine.delete(address)
        assert engine.refresh(address) is None
        engine.delete(address)

    def test_an_address_may_name_its_instance(self, engine: Engine, instance: Resource) -> None:
        address = engine.create("Eip", {"instance": instance.id})
        assert address.outputs["instance"] == instance.id
        engine.delete(address)


class TestLookUps:
    def test_the_newest_fitting_image_is_found(self, engine: Engine) -> None:
        answer = engine.invoke("aws:ec2/getAmi:getAmi", {"mostRecent": True, "owners": ["099720109477"]})
        assert not answer.failures
        found = dict(getattr(answer, "return"))
        assert found["id"] == found["imageId"]
        assert found["ownerId"] == "099720109477"
        assert found["rootDeviceName"]

    @pytest.mark.parametrize(
        ("given", "property_", "reason"),
        [
            ({"owners": ["000000000000"]}, "filters", "no image fits"),
            ({"owners": ["099720109477"]}, "mostRecent", "images fit and it is not set"),
            ({"nameRegex": "("}, "nameRegex", "is not a pattern"),
            ({"owner": ["a"]}, "owner", "the nearest it knows is owners"),
        ],
    )
    def test_no_single_image_is_a_failure_with_a_reason(
        self, engine: Engine, given: dict[str, Any], property_: str, reason: str
    ) -> None:
        failures = engine.invoke("aws:ec2/getAmi:getAmi", given).failures
        assert [failure.property for failure in failures] == [property_]
        assert reason in failures[0].reason

    def test_the_default_network_is_found(self, engine: Engine, ec2: Any) -> None:
        found = dict(getattr(engine.invoke("aws:ec2/getVpc:getVpc", {"default": True}), "return"))
        assert found["id"] == ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        assert found["default"] is True
        assert found["enableDnsSupport"] is True

    def test_a_network_that_is_not_there_is_a_failure(self, engine: Engine) -> None:
        failures = engine.invoke("aws:ec2/getVpc:getVpc", {"cidrBlock": "192.0.2.0/24"}).failures
        assert "no networks fit" in failures[0].reason

    def test_an_unknown_function_is_named(self, engine: Engine) -> None:
        with pytest.raises(
            Aborted, match=r"has no function aws:ec2/getAmis:getAmis; the nearest .*getAmi:getAmi"
        ):
            engine.invoke("aws:ec2/getAmis:getAmis", {})
