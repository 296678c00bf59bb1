use super::*;
use serde_json::Value;
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("whole").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_that_is_written_in_a_span_names_it_and_others_do_not() {
    let kept = Kept::default();
    let out = kept.clone();
    let base = tracing_subscriber::fmt().with_writer(move || out.clone());
    let logger = base.with_target(false).json().flatten_event(true).map_event_format(Traced).finish();
    tracing::subscriber::with_default(logger, || {
        tracing::info!(pod = "gateway-0", "outside");
        let trace: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("valid");
        let _entered = trace.enter();
        tracing::warn!(pod = "} \" \n", target = "slack:guild:T1", "inside");
    });
    let text = String::from_utf8(kept.0.lock().expect("whole").clone()).expect("text");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!((&lines[0]["message"], lines[0].get("trace_id")), (&Value::from("outside"), None));
    assert_eq!(lines[1]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(lines[1]["span_id"], "00f067aa0ba902b7");
    assert_eq!(lines[1]["pod"], "} \" \n");
    assert_eq!((&lines[1]["target"], &lines[1]["module"]), (&"slack:guild:T1".into(), &module_path!().into()));
    assert_eq!(text.matches("\"target\"").count(), 1, "one key, one meaning: {text}");
}
