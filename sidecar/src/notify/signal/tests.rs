use super::*;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};
use tempfile::TempDir;

const POD: &str = "/var/lib/kubelet/pods/6f1c";

/// What a sidecar sees of a pod that shares its processes.
struct Proc(TempDir);

impl Proc {
    fn new() -> Self {
        let proc = Self(tempfile::tempdir().unwrap());
        proc.mounts("self", POD, "keystead");
        proc
    }

    fn add(&self, id: i32, parent: i32, started: u64, pod: &str, container: &str) {
        self.mounts(&id.to_string(), pod, container);
        self.stat(
            id,
            &format!("{id} (a) b) S {parent} {id} 0 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 {started} 0 0"),
        );
    }

    fn stat(&self, id: i32, text: &str) {
        fs::write(self.0.path().join(id.to_string()).join("stat"), text).unwrap();
    }

    fn mounts(&self, id: &str, pod: &str, container: &str) {
        let folder = self.0.path().join(id);
        fs::create_dir_all(&folder).unwrap();
        let mounts = format!(
            "600 599 0:52 / / ro,relatime master:1 - overlay overlay ro\n\
             601 600 8:1 {pod}/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n\
             602 600 8:1 {pod}/containers/{container}/a1b2c3d4 /dev/termination-log rw,relatime - ext4 /dev/sda1 rw\n\
             603 600 8:1 {pod}/volume-subpaths/conf/web/0 /conf ro - ext4 /dev/sda1 rw\n"
        );
        fs::write(folder.join("mountinfo"), mounts).unwrap();
    }

    fn main(&self, container: &str) -> Result<Option<i32>, String> {
        let found = Shared::new(self.0.path()).main(container);
        let found = found.map(|found| found.map(|process| process.id));
        found.map_err(|error| error.to_string())
    }
}

#[test]
fn a_container_is_found_by_its_mounts() {
    let proc = Proc::new();
    proc.add(7, 0, 100, POD, "keystead");
    proc.add(20, 0, 200, POD, "web");
    proc.add(21, 20, 201, POD, "web");
    proc.add(30, 0, 150, POD, "worker");
    assert_eq!(proc.main("web"), Ok(Some(20)));
    assert_eq!(proc.main("worker"), Ok(Some(30)));
    assert_eq!(proc.main("we"), Ok(None), "no part of a name");
    assert_eq!(proc.main("conf"), Ok(None), "no other mount");
}

#[test]
fn what_came_later_from_outside_is_not_the_containers_own() {
    let proc = Proc::new();
    proc.add(20, 0, 200, POD, "web");
    // A probe: numbers may have begun anew.
    proc.add(9, 0, 300, POD, "web");
    assert_eq!(proc.main("web"), Ok(Some(20)));
}

#[test]
fn another_pods_container_of_the_same_name_is_nobody() {
    let proc = Proc::new();
    proc.add(20, 0, 200, "/var/lib/kubelet/pods/77aa", "web");
    assert_eq!(proc.main("web"), Ok(None));
}

#[test]
fn one_that_has_ended_is_nobody() {
    let proc = Proc::new();
    proc.add(20, 0, 200, POD, "web");
    proc.stat(
        20,
        "20 (web) Z 0 20 0 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 200 0 0",
    );
    assert_eq!(proc.main("web"), Ok(None));
}

#[test]
fn where_containers_can_not_be_told_apart_it_is_an_error() {
    let proc = Proc(tempfile::tempdir().unwrap());
    proc.add(20, 0, 200, POD, "web");
    let said = proc.main("web").unwrap_err();
    assert!(
        said.starts_with("cannot tell the processes of container web from others: the kubelet's mount"),
        "{said}"
    );
}

fn child() -> (Child, i32) {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    let id = i32::try_from(child.id()).unwrap();
    (child, id)
}

#[test]
fn a_process_gets_the_signal_and_a_later_one_of_its_number_does_not() {
    let (mut child, id) = child();
    let process = Process::of(Path::new("/proc"), id).unwrap();
    let later = Process {
        started: process.started + 1,
        ..process.clone()
    };
    assert_eq!(later.tell(Signal::Term, "web"), Ok(Outcome::Nobody));
    assert!(child.try_wait().unwrap().is_none(), "it got the signal");
    for (signal, number) in [(Signal::Usr1, 10), (Signal::Hup, 1)] {
        let process = Process::of(Path::new("/proc"), i32::try_from(child.id()).unwrap()).unwrap();
        assert_eq!(process.tell(signal, "web"), Ok(Outcome::Told));
        assert_eq!(child.wait().unwrap().signal(), Some(number));
        assert_eq!(process.tell(signal, "web"), Ok(Outcome::Nobody), "it is gone");
        child = self::child().0;
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
