"""One release onto one host: onebox, Ansible and pyinfra, in turns on the same rehearsal host."""
