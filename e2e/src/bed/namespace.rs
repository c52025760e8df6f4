//! The bed's namespaces: a network with `lo` alone and no route out, and mounts of its own, held
//! by one waiting process. Nothing of it is visible on the host, and it all goes with the last
//! process in it, however that one ends.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::site::{NODE_ADDRESS, SERVICE_RANGE, Site};
use crate::wait;

/// Runs in the new namespaces, then becomes the process that holds them.
///
/// - The route makes the host's own connections to service addresses leave through a device at
///   all; kube-proxy's rules then send them on.
/// - containerd, its shims, CNI and the kubelet write to fixed places below /run, /var/lib and
///   /var/log. Folders of the bed's own lie over those, so the host never sees any of it.
/// - The packages are where only root may look, and databases don't run as root.
const PREPARE: &str = r#"
set -e
ip link set lo up
ip address add "$NODE_ADDRESS/32" dev lo
ip route add "$SERVICE_RANGE" dev lo src "$NODE_ADDRESS"
echo 1 > /proc/sys/net/ipv4/ip_forward
mkdir -p "$HOST/run/debian" "$HOST/log" "$HOST/lib"
mount --bind "$DEBIAN" "$HOST/run/debian"
case "$STATE" in /var/lib/*)
  inside="$HOST/lib/${STATE#/var/lib/}"
  mkdir -p "$inside"
  mount --rbind "$STATE" "$inside"
esac
mount --rbind "$HOST/lib" /var/lib
mount --rbind "$HOST/run" /run
mount --bind "$HOST/log" /var/log
: > "$STATE/run/namespaces"
exec "$PAUSE"
"#;

/// Where the packages are in the bed's mounts.
pub(super) const DEBIAN: &str = "/run/debian";

/// Makes the namespaces and remembers their holder in the site.
pub(super) fn create(site: &mut Site) -> Result<()> {
    let words = [
        "unshare",
        "--net",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        PREPARE,
    ];
    let mut environment = site.environment();
    environment.extend([
        ("NODE_ADDRESS".to_owned(), NODE_ADDRESS.to_owned()),
        ("SERVICE_RANGE".to_owned(), SERVICE_RANGE.to_owned()),
        ("STATE".to_owned(), site.state.display().to_string()),
        ("HOST".to_owned(), site.file("host")),
        ("DEBIAN".to_owned(), site.debian()?.place().display().to_string()),
        ("PAUSE".to_owned(), site.tools.pause.display().to_string()),
    ]);
    let holder = site
        .registry
        .start("namespaces", &words.map(str::to_owned), &environment)?;
    let ready = site.state.join("run/namespaces");
    let log = site.registry.log("namespaces");
    wait::until(
        "the bed's namespaces",
        Duration::from_secs(10),
        Some(&log),
        || {
            site.registry.check("namespaces")?;
            Ok(ready.exists() && is_pause(holder.pid, &site.tools.pause))
        },
    )?;
    fs::remove_file(&ready).context("remove the mark of ready namespaces")?;
    site.holder = Some(holder);
    Ok(())
}

/// Whether the shell has become the holder: before that its child processes come and go.
fn is_pause(pid: i32, pause: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program == pause)
}
