use super::*;
use crate::config::Settings;
use keystead_runtime::shutdown;
use serde_json::json;
use std::sync::Mutex;

/// A pod in which only web runs; remembers who was looked for.
#[derive(Default)]
struct Fake(Mutex<Vec<String>>);

impl Processes for Fake {
    fn main(&self, container: &str) -> Result<Option<Process>, Error> {
        self.note(container);
        Ok(None)
    }
}

impl Fake {
    fn note(&self, container: &str) {
        self.0.lock().unwrap().push(container.to_owned());
    }
}

fn settings() -> Settings {
    let signal = |container: &str| json!({"signal": {"name": "SIGHUP", "container": container}});
    let file = |path: &str| json!({"path": path, "format": "Dotenv", "secret": "crm"});
    let told = |path: &str, on_change| {
        let mut file = file(path);
        file["onChange"] = on_change;
        file
    };
    let config = json!({
        "version": 1,
        "vault": {
            "address": "http://127.0.0.1:1", "authMount": "jwt", "role": "r", "kvMount": "kv",
            "pathPrefix": "keystead", "environment": "production", "scopes": [{"level": "Global"}],
        },
        "secrets": [{"name": "crm", "from": {"service": "hubspot"}}],
        "files": [
            told("a", signal("web")),
            told("b", signal("web")),
            told("c", signal("worker")),
            file("d"),
        ],
        "fileMode": 0o440,
        "refreshMillis": 60_000,
    });
    Settings::new(serde_json::from_value(config).unwrap(), None).unwrap()
}

#[tokio::test]
async fn only_those_are_told_whose_files_have_changed() {
    let (_trigger, shutdown) = shutdown::channel();
    let fake = Arc::new(Fake::default());
    let metrics = Metrics::new().unwrap();
    let notifier = Notifier::start(&settings(), Arc::clone(&fake) as _, &metrics, &shutdown);
    for (changed, told) in [
        (vec!["d"], vec![]),
        (vec![], vec![]),
        (vec!["a", "b"], vec!["web"]),
        (vec!["b", "d"], vec!["web"]),
        (vec!["a", "c"], vec!["web", "worker"]),
    ] {
        let files = changed
            .iter()
            .map(|path| FilePath::parse(path).unwrap())
            .collect();
        notifier.changed(&files);
        let asked = std::mem::take(&mut *fake.0.lock().unwrap());
        assert_eq!(asked, told, "{changed:?}");
    }
}
