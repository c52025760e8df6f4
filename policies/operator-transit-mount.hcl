
# Mounting the transit engine where it is missing (spec.vault.manageMounts): this one path and no other.
path "sys/mounts/@transit@" { capabilities = ["read", "update"] }
