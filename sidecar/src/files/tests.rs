use super::*;
use proptest::prelude::*;
use std::os::unix::fs::MetadataExt as _;
use tempfile::TempDir;

/// Files of mode 0440.
fn contents(pairs: &[(&str, &str)]) -> Contents {
    with_mode(0o440, pairs)
}

fn with_mode(mode: u32, pairs: &[(&str, &str)]) -> Contents {
    let content = |text: &str| Content {
        text: text.into(),
        mode,
    };
    pairs
        .iter()
        .map(|(path, text)| (FilePath::parse(path).unwrap(), content(text)))
        .collect()
}

fn tree(mode: u32) -> (TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::new(dir.path(), mode);
    (dir, tree)
}

fn names(dir: &TempDir) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn generation(dir: &TempDir) -> String {
    fs::read_link(dir.path().join(DATA))
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn files_are_seen_through_the_links() {
    let (dir, tree) = tree(0o444);
    let files = contents(&[("hubspot.env", "A='1'\n"), ("tls/key", "k"), ("tls/deep/er", "")]);
    assert_eq!(tree.write(&files).unwrap().written, Written::Changed);
    assert_eq!(
        fs::read_to_string(dir.path().join("hubspot.env")).unwrap(),
        "A='1'\n"
    );
    assert_eq!(fs::read_to_string(dir.path().join("tls/key")).unwrap(), "k");
    assert_eq!(fs::read_to_string(dir.path().join("tls/deep/er")).unwrap(), "");
    let generation = generation(&dir);
    assert_eq!(
        names(&dir),
        [generation, DATA.to_owned(), "hubspot.env".into(), "tls".into()]
    );
    assert_eq!(
        fs::read_link(dir.path().join("tls")).unwrap(),
        Path::new("..data/tls")
    );
}

#[test]
fn the_same_again_changes_nothing() {
    let (dir, tree) = tree(0o440);
    let files = contents(&[("a", "1"), ("b/c", "2")]);
    tree.write(&files).unwrap();
    let before = generation(&dir);
    assert_eq!(tree.write(&files).unwrap().written, Written::Unchanged);
    assert_eq!(
        Tree::new(dir.path(), 0o440).write(&files).unwrap().written,
        Written::Unchanged,
        "nor after a restart"
    );
    assert_eq!(generation(&dir), before);
}

#[test]
fn news_are_files_that_changed_or_came_after_the_first_time() {
    let (dir, tree) = tree(0o440);
    let news = |tree: &Tree, pairs: &[(&str, &str)]| -> Vec<String> {
        let news = tree.write(&contents(pairs)).unwrap().news;
        news.into_iter().map(|path| path.0).collect()
    };
    assert!(
        news(&tree, &[("a", "1"), ("b/c", "2")]).is_empty(),
        "the first time"
    );
    assert!(
        news(&tree, &[("a", "1"), ("b/c", "2")]).is_empty(),
        "nothing changed"
    );
    assert_eq!(news(&tree, &[("a", "1"), ("b/c", "3")]), ["b/c"]);
    assert_eq!(news(&tree, &[("a", "1"), ("b/c", "3"), ("d", "4")]), ["d"]);
    assert!(
        news(&tree, &[("a", "1"), ("b/c", "3")]).is_empty(),
        "one that is gone"
    );
    let anew = Tree::new(dir.path(), 0o440);
    assert_eq!(
        news(&anew, &[("a", "5"), ("b/c", "3")]),
        ["a"],
        "a restart is not the first time"
    );
    let other = tree
        .write(&with_mode(0o444, &[("a", "5"), ("b/c", "3")]))
        .unwrap();
    assert_eq!(other.news.len(), 2, "a mode counts");
}

#[test]
fn only_what_changed_is_a_new_file() {
    let (dir, tree) = tree(0o440);
    tree.write(&contents(&[("a", "1"), ("b", "2")])).unwrap();
    let inode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().ino();
    let (a, b, old) = (inode("a"), inode("b"), generation(&dir));
    assert_eq!(
        tree.write(&contents(&[("a", "1"), ("b", "3")])).unwrap().written,
        Written::Changed
    );
    assert_ne!(generation(&dir), old);
    assert_eq!(inode("a"), a);
    assert_ne!(inode("b"), b);
    assert_eq!(fs::read_to_string(dir.path().join("b")).unwrap(), "3");
    assert!(!dir.path().join(old).exists(), "the old generation is gone");
}

#[test]
fn what_is_no_longer_wanted_goes_and_what_is_lost_comes_back() {
    let (dir, tree) = tree(0o440);
    tree.write(&contents(&[("a", "1"), ("b/c", "2")])).unwrap();
    assert_eq!(
        tree.write(&contents(&[("a", "1")])).unwrap().written,
        Written::Changed
    );
    assert_eq!(names(&dir), [generation(&dir), DATA.to_owned(), "a".into()]);
    fs::remove_dir_all(dir.path().join(generation(&dir))).unwrap();
    assert_eq!(
        tree.write(&contents(&[("a", "1")])).unwrap().written,
        Written::Changed
    );
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "1");
}

#[test]
fn no_files_leave_an_empty_directory() {
    let (dir, tree) = tree(0o440);
    assert_eq!(tree.write(&Contents::new()).unwrap().written, Written::Unchanged);
    assert!(names(&dir).is_empty());
}

#[test]
fn directories_are_open_to_whom_the_files_are() {
    for (file, directory) in [(0o400, 0o700), (0o440, 0o750), (0o444, 0o755)] {
        let (dir, tree) = tree(file);
        tree.write(&with_mode(file, &[("a/b", "1")])).unwrap();
        assert_eq!(mode(&dir.path().join("a/b")), file);
        assert_eq!(mode(&dir.path().join("a")), directory);
        assert_eq!(mode(&dir.path().join(DATA)), directory);
    }
}

#[test]
fn a_file_has_its_own_mode_and_a_new_one_makes_it_anew() {
    let (dir, tree) = tree(0o444);
    let mut files = with_mode(0o444, &[("a", "1")]);
    files.extend(with_mode(0o400, &[("b", "1")]));
    tree.write(&files).unwrap();
    assert_eq!(mode(&dir.path().join("a")), 0o444);
    assert_eq!(mode(&dir.path().join("b")), 0o400);
    let before = fs::metadata(dir.path().join("a")).unwrap().ino();
    files.extend(with_mode(0o500, &[("b", "1")]));
    assert_eq!(tree.write(&files).unwrap().written, Written::Changed);
    assert_eq!(mode(&dir.path().join("b")), 0o500);
    assert_eq!(fs::metadata(dir.path().join("a")).unwrap().ino(), before);
}

#[test]
fn the_group_is_handed_down() {
    let (dir, tree) = tree(0o440);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2777)).unwrap();
    tree.write(&contents(&[("a/b", "1")])).unwrap();
    assert_eq!(mode(&dir.path().join(DATA)), 0o2750);
    assert_eq!(mode(&dir.path().join("a")), 0o2750);
    assert_eq!(
        fs::metadata(dir.path().join("a/b")).unwrap().gid(),
        fs::metadata(dir.path()).unwrap().gid()
    );
}

#[test]
fn a_killed_predecessor_is_no_obstacle() {
    let (dir, tree) = tree(0o440);
    tree.write(&contents(&[("a", "1"), ("gone", "1")])).unwrap();
    // Killed while filling, before the rename, and after it.
    fs::create_dir(dir.path().join("..12345")).unwrap();
    fs::write(dir.path().join("..12345/a"), "half").unwrap();
    symlink("..12345", dir.path().join(DATA_NEXT)).unwrap();
    fs::remove_file(dir.path().join(DATA).join("gone")).unwrap();
    fs::remove_file(dir.path().join("a")).unwrap();
    assert_eq!(
        tree.write(&contents(&[("a", "1")])).unwrap().written,
        Written::Unchanged
    );
    assert_eq!(names(&dir), [generation(&dir), DATA.to_owned(), "a".into()]);
    symlink("nowhere", dir.path().join(DATA_NEXT)).unwrap();
    assert_eq!(
        tree.write(&contents(&[("a", "2")])).unwrap().written,
        Written::Changed
    );
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "2");
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let (dir, tree) = tree(0o440);
    fs::write(dir.path().join("a"), "theirs").unwrap();
    fs::create_dir(dir.path().join("..theirs")).unwrap();
    let error = tree.write(&contents(&[("a", "1")])).unwrap_err();
    assert_eq!(error, Error::Taken(dir.path().join("a")));
    assert_eq!(names(&dir), ["..theirs", "a"], "nothing was left behind");
    assert_eq!(
        tree.write(&contents(&[("b", "1")])).unwrap().written,
        Written::Changed
    );
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "theirs");
    assert!(dir.path().join("..theirs").exists());
}

#[test]
fn a_failed_write_keeps_the_old_files() {
    let (dir, tree) = tree(0o440);
    tree.write(&contents(&[("a", "1")])).unwrap();
    // A name that no file system takes, past the check that would have refused it.
    let long = FilePath("x".repeat(300));
    let error = tree
        .write(&BTreeMap::from([(
            long,
            contents(&[("a", "2")]).remove(&FilePath("a".into())).unwrap(),
        )]))
        .unwrap_err();
    assert!(error.to_string().contains("File name too long"), "{error}");
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "1");
    assert_eq!(names(&dir), [generation(&dir), DATA.to_owned(), "a".into()]);
}

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let (dir, tree) = tree(0o440);
    // What was written when the clock was far ahead; then it is where it was before, to the nanosecond.
    let ahead = tree.make_generation_at(u128::from(u64::MAX)).unwrap();
    symlink(ahead.file_name().unwrap(), dir.path().join(DATA)).unwrap();
    assert_eq!(
        tree.make_generation_at(u128::from(u64::MAX))
            .unwrap()
            .file_name()
            .unwrap(),
        "..18446744073709551616"
    );
    tree.write(&contents(&[("a", "1")])).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "1");
    assert_ne!(generation(&dir), ahead.file_name().unwrap().to_str().unwrap());
    tree.write(&contents(&[("a", "2")])).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "2");
    assert_eq!(names(&dir), [generation(&dir), DATA.to_owned(), "a".into()]);
}

#[test]
fn a_reader_never_sees_two_versions() {
    let (dir, tree) = tree(0o444);
    let version = |n: u32| contents(&[("a", &n.to_string()), ("b", &n.to_string())]);
    tree.write(&version(0)).unwrap();
    let root = dir.path().to_owned();
    let reader = std::thread::spawn(move || {
        let mut seen = 0_u32;
        while seen < 300 {
            // One generation, as a reader that opens the directory has it.
            let Ok(generation) = fs::canonicalize(root.join(DATA)) else {
                continue;
            };
            let read = |name| fs::read_to_string(generation.join(name)).ok();
            if let (Some(a), Some(b)) = (read("a"), read("b")) {
                assert_eq!(a, b);
                seen = a.parse().unwrap();
            }
        }
    });
    for n in 1..=300 {
        tree.write(&version(n)).unwrap();
    }
    reader.join().unwrap();
}

proptest! {
    #[test]
    fn no_path_leads_out(path in "[a./\0]{0,8}") {
        if FilePath::parse(&path).is_ok() {
            prop_assert!(!path.is_empty() && !path.starts_with('/') && !path.contains('\0'));
            prop_assert!(path.split('/').all(|name| !name.is_empty() && name != "." && !name.starts_with("..")));
        }
    }

    /// Whatever was there before, the directory shows what was written last.
    #[test]
    fn the_last_write_is_what_is_seen(
        rounds in proptest::collection::vec(
            proptest::collection::btree_map("[ab]{1,2}(/[cd])?", "[x-z]{0,3}", 0..5), 1..5)
    ) {
        let (dir, tree) = tree(0o440);
        for round in rounds {
            let files: Contents =
                contents(&round.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>());
            if FilePath::check_together(files.keys()).is_err() {
                continue;
            }
            tree.write(&files).unwrap();
            prop_assert_eq!(tree.write(&files).unwrap().written, Written::Unchanged);
            for (path, text) in &round {
                prop_assert_eq!(&fs::read_to_string(dir.path().join(path)).unwrap(), text);
            }
            let tops: BTreeSet<&str> = files.keys().map(FilePath::top).collect();
            let ours = if dir.path().join(DATA).exists() { 2 } else { 0 };
            prop_assert_eq!(names(&dir).len(), tops.len() + ours);
        }
    }
}
