
# Mounting the database engine where it is missing (spec.vault.manageMounts): this one path and no other.
path "sys/mounts/@database@" { capabilities = ["read", "update"] }
