//! Access that was taken away, and what only looks so.

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

fn login_refused(why: &str) -> VaultError {
    VaultError::Login {
        mount: "jwt".into(),
        role: "keystead.c1.web".into(),
        why: why.into(),
    }
}

impl Bed {
    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.dir.path().join(path)).ok()
    }
}

/// Serves a pod that has started; `trouble` begins then, and ends after some minutes.
async fn troubled(trouble: impl FnOnce(&Fake), meanwhile: impl FnOnce(&Bed), after: impl FnOnce(&Bed)) {
    let mut bed = bed();
    let (trigger, shutdown) = shutdown::channel();
    let mut pod = std::mem::replace(&mut bed.pod, super::bed().pod);
    let mut vault = bed.fake.clone();
    let story = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(bed.gate().is_open() && bed.ready.is_met());
        trouble(&bed.fake);
        tokio::time::sleep(4 * MINUTE).await;
        meanwhile(&bed);
        bed.fake.mend();
        tokio::time::sleep(2 * MINUTE).await;
        after(&bed);
        trigger.drain();
    };
    tokio::join!(pod.serve(&mut vault, &shutdown), story);
}

fn all_is_well(bed: &Bed) {
    assert!(bed.gate().is_open() && bed.ready.is_met());
    assert_eq!(bed.read("files/key").as_deref(), Some("two"));
    assert_eq!(bed.read("files/app.env").as_deref(), Some("PORT='two'\n"));
    assert_eq!(bed.read("private/env").as_deref(), Some("CRM_KEY='two'\n"));
    assert!(bed.metric("keystead_secrets_refused 0"));
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_secret_shows_goes_and_the_rest_stays_current() {
    let trouble = |fake: &Fake| {
        fake.trouble(denied(), usize::MAX);
        fake.set("two");
    };
    let meanwhile = |bed: &Bed| {
        assert_eq!(bed.read("files/key"), None);
        assert_eq!(bed.read("files/app.env").as_deref(), Some("PORT='two'\n"));
        assert_eq!(bed.read("private/env").as_deref(), Some(""));
        assert!(!bed.gate().is_open());
        assert!(bed.metric("keystead_secrets_refused 1"));
        let expected = "secrets (permission denied: GET kv/data/x)";
        assert_eq!(bed.ready.to_string(), expected);
        assert!(!bed.ready.is_met());
        let told = bed.signals.0.load(Ordering::Relaxed);
        assert_eq!(told, 0, "there is nothing to load");
    };
    let after = |bed: &Bed| {
        all_is_well(bed);
        assert_eq!(bed.signals.0.load(Ordering::Relaxed), 1, "it is back");
    };
    troubled(trouble, meanwhile, after).await;
}

#[tokio::test(start_paused = true)]
async fn trouble_with_another_secret_does_not_keep_refused_files() {
    let trouble = |fake: &Fake| {
        fake.trouble(denied(), usize::MAX);
        fake.set("two");
        fake.0.borrow_mut().lacks_app = true;
    };
    let meanwhile = |bed: &Bed| {
        assert_eq!(bed.read("files/key"), None);
        assert_eq!(bed.read("files/app.env").as_deref(), Some("PORT='one'\n"));
        assert_eq!(bed.read("private/env").as_deref(), Some(""));
        assert!(!bed.gate().is_open() && !bed.ready.is_met());
    };
    troubled(trouble, meanwhile, all_is_well).await;
}

#[tokio::test(start_paused = true)]
async fn without_its_role_a_pod_has_nothing() {
    for why in [
        "role \"keystead.c1.web\" could not be found",
        "invalid role name \"keystead.c1.web\"",
    ] {
        let trouble = |fake: &Fake| {
            fake.trouble(denied(), 1);
            fake.set("two");
            fake.0.borrow_mut().login = Some(login_refused(why));
        };
        let meanwhile = |bed: &Bed| {
            assert_eq!((bed.read("files/key"), bed.read("files/app.env")), (None, None));
            assert_eq!(bed.read("private/env").as_deref(), Some(""));
            assert!(!bed.gate().is_open() && !bed.ready.is_met());
            assert!(bed.metric("keystead_secrets_refused 2"));
        };
        troubled(trouble, meanwhile, all_is_well).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_about_access_changes_nothing() {
    let refused = |code| VaultError::Refused {
        request: Request {
            method: "GET",
            path: "kv/data/x".into(),
        },
        code,
        why: "try later".into(),
    };
    let sealed = VaultError::Sealed {
        address: "http://vault".into(),
    };
    // A mount of method kubernetes says only this while it can't reach the API server, and the token may
    // have ended meanwhile.
    let logins = ["permission denied", "error validating token: token is expired"].map(login_refused);
    let reads = [unreachable(), sealed, refused(429), refused(500)];
    let troubles = reads
        .map(|error| (error, None))
        .into_iter()
        .chain(logins.map(|error| (denied(), Some(error))));
    for (error, login) in troubles {
        let trouble = |fake: &Fake| {
            fake.trouble(error, if login.is_some() { 1 } else { usize::MAX });
            fake.set("two");
            fake.0.borrow_mut().login = login;
        };
        let meanwhile = |bed: &Bed| {
            assert_eq!(bed.read("files/key").as_deref(), Some("one"));
            assert_eq!(bed.read("files/app.env").as_deref(), Some("PORT='one'\n"));
            assert_eq!(bed.read("private/env").as_deref(), Some("CRM_KEY='one'\n"));
            assert!(bed.gate().is_open() && bed.ready.is_met());
        };
        troubled(trouble, meanwhile, all_is_well).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_mended_in_time_changes_nothing() {
    let mut bed = bed();
    let (fake, gate, ready) = (bed.fake.clone(), bed.gate(), bed.ready.clone());
    let key = bed.dir.path().join("files/key");
    bed.serve(Duration::from_mins(5), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // As after a restore: the operator puts things right.
        fake.trouble(denied(), 4);
        for _ in 0..240 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(gate.is_open() && ready.is_met() && key.exists());
        }
    })
    .await;
    assert!(bed.fake.0.borrow().troubles.is_empty());
}
