"""EC2's objects: moto's backend with the facts of this cloud, and the file that keeps them."""
