//! `exec`, the program itself, with real processes.

#[cfg(test)]
mod tests {
    use keystead_crds::names::VARIABLES_FILE;
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::fs;
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::os::unix::process::ExitStatusExt as _;
    use std::path::Path;
    use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
    use tempfile::TempDir;

    /// A container: its volume, the program that runs in it, and what it says.
    struct Container {
        files: TempDir,
        exec: Child,
        input: Option<ChildStdin>,
        output: BufReader<ChildStdout>,
    }

    impl Container {
        /// Starts a script of `sh` in a volume that has these variables.
        fn start(variables: Option<&[u8]>, options: &[&str], script: &str) -> Self {
            let files = tempfile::tempdir().unwrap();
            if let Some(variables) = variables {
                hand_over(files.path(), variables);
            }
            let mut exec = Command::new(env!("CARGO_BIN_EXE_keystead-sidecar"))
                .arg("exec")
                .args(options)
                .args(["--", "sh", "-c", script])
                .env("KEYSTEAD_FILES_DIR", files.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            Self {
                input: exec.stdin.take(),
                output: BufReader::new(exec.stdout.take().unwrap()),
                exec,
                files,
            }
        }

        fn line(&mut self) -> String {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        }

        fn send(&self, signal: Signal) {
            kill(Pid::from_raw(self.exec.id().try_into().unwrap()), signal).unwrap();
        }

        /// What else it says, and the code it ends with; none where a signal ended `exec` itself.
        fn end(mut self) -> (String, Option<i32>) {
            drop(self.input.take());
            let mut rest = String::new();
            self.output.read_to_string(&mut rest).unwrap();
            (rest, self.exec.wait().unwrap().code())
        }
    }

    impl Drop for Container {
        fn drop(&mut self) {
            let _ = self.exec.kill();
            let _ = self.exec.wait();
        }
    }

    /// In one step, as the sidecar does.
    fn hand_over(files: &Path, variables: &[u8]) {
        let next = files.join("next");
        fs::write(&next, variables).unwrap();
        fs::rename(next, files.join(VARIABLES_FILE)).unwrap();
    }

    /// Says it is up, and waits for a signal.
    fn until(trap: &str) -> String {
        format!("sleep 600 & trap 'kill $!; {trap}' TERM USR1; echo up; wait")
    }

    #[test]
    fn a_command_has_its_variables_and_keeps_its_exit_code() {
        let variables = b"QUOTE=it's\0EMPTY=\0LINES=a\r\nb\0".as_slice();
        let script = r#"printf '<%s><%s><%s>' "$QUOTE" "$EMPTY" "$LINES"; exit 7"#;
        let (said, code) = Container::start(Some(variables), &[], script).end();
        assert_eq!(said, "<it's><><a\r\nb>");
        assert_eq!(code, Some(7));
    }

    #[test]
    fn its_input_is_the_containers() {
        let mut container = Container::start(Some(b""), &[], "echo up; cat; exit 1");
        assert_eq!(container.line(), "up");
        std::io::Write::write_all(container.input.as_mut().unwrap(), b"heard").unwrap();
        assert_eq!(container.end(), ("heard".to_owned(), Some(1)));
    }

    #[test]
    fn signals_reach_it() {
        for signal in [Signal::SIGUSR1, Signal::SIGTERM] {
            let mut container = Container::start(Some(b""), &[], &until("echo caught; exit 3"));
            assert_eq!(container.line(), "up");
            container.send(signal);
            assert_eq!(container.end(), ("caught\n".to_owned(), Some(3)));
        }
    }

    #[test]
    fn a_signal_that_ends_it_is_told() {
        let (_, code) = Container::start(Some(b""), &[], "kill -KILL $$").end();
        assert_eq!(code, Some(128 + 9));
    }

    #[test]
    fn what_cannot_be_started_is_named() {
        for (program, code) in [("/no/such/program", 127), ("/etc/passwd", 126)] {
            let files = tempfile::tempdir().unwrap();
            hand_over(files.path(), b"");
            let output = Command::new(env!("CARGO_BIN_EXE_keystead-sidecar"))
                .args(["exec", "--", program])
                .env("KEYSTEAD_FILES_DIR", files.path())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(code));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains(&format!("cannot start {program:?}: ")), "{said}");
        }
    }

    #[test]
    fn it_starts_when_the_secrets_are_there() {
        let mut container = Container::start(None, &[], "echo \"$A\"");
        // It has looked, and not started anything, by the time it listens for signals.
        await_caught(&container.exec);
        hand_over(container.files.path(), b"A=1\0");
        assert_eq!(container.line(), "1");
        assert_eq!(container.end(), (String::new(), Some(0)));
    }

    #[test]
    fn it_ends_while_it_waits() {
        let container = Container::start(None, &[], "echo started");
        await_caught(&container.exec);
        container.send(Signal::SIGTERM);
        assert_eq!(container.end(), (String::new(), Some(128 + 15)));
    }

    /// Waits until the process catches SIGTERM, which has bit 14.
    fn await_caught(process: &Child) {
        let catches = || {
            let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
            let mask = status
                .lines()
                .find_map(|line| line.strip_prefix("SigCgt:"))
                .unwrap();
            u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 14) != 0
        };
        while !catches() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn orphans_leave_no_zombies() {
        // The inner shell's child outlives it, says who it is, and ends.
        let orphan = "sh -c 'sh -c \"read line < pipe; exit 0\" & echo $!'; echo up; read line";
        let dir = tempfile::tempdir().unwrap();
        let script = format!("cd {} && mkfifo pipe && {orphan}", dir.path().display());
        let mut container = Container::start(Some(b""), &[], &script);
        let pid = container.line();
        assert_eq!(container.line(), "up");
        let process = format!("/proc/{pid}");
        assert!(Path::new(&process).exists());
        fs::write(dir.path().join("pipe"), "end\n").unwrap();
        while Path::new(&process).exists() {
            std::thread::yield_now();
        }
        container.send(Signal::SIGTERM);
        let status = container.exec.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(128 + 15), None));
    }

    #[test]
    fn a_changed_value_restarts_it_where_that_is_asked_for() {
        let script = format!("echo \"$A\"; {}", until("exit 5"));
        let mut container = Container::start(Some(b"A=1\0"), &["--restart"], &script);
        assert_eq!([container.line(), container.line()], ["1", "up"]);
        hand_over(container.files.path(), b"A=2\0");
        assert_eq!([container.line(), container.line()], ["2", "up"]);
        container.send(Signal::SIGTERM);
        assert_eq!(container.end(), (String::new(), Some(5)));
    }

    #[test]
    fn a_command_that_ends_by_itself_is_not_restarted() {
        let (said, code) = Container::start(Some(b"A=1\0"), &["--restart"], "echo \"$A\"; exit 4").end();
        assert_eq!((said.as_str(), code), ("1\n", Some(4)));
    }
}
