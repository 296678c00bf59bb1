//! Server-sent events, both ways: writing one event, and reading a stream of bytes that may be cut anywhere
//! (WHATWG HTML, section 9.2).

/// One event as read. `data` lines are joined with line feeds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SseEvent {
    /// The event's name.
    pub event: String,
    /// The data.
    pub data: String,
    /// The id, when the event carried one.
    pub id: Option<String>,
}

/// Writes one event. `data` is one line, as JSON is.
pub fn write(event: &str, id: Option<u64>, data: &str) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {event}\n{id}data: {data}\n\n")
}

/// Reads events from chunks of bytes.
#[derive(Debug)]
pub struct SseReader {
    buffer: Vec<u8>,
    current: SseEvent,
    limit: usize,
}

/// An event was larger than the reader's limit: the stream is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {0} bytes")]
pub struct SseTooLarge(usize);

impl SseReader {
    /// Makes a reader that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), current: SseEvent::default(), limit }
    }

    /// Takes a chunk and returns the events it completes.
    ///
    /// # Errors
    /// [`SseTooLarge`] when an event grows past the limit.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<SseEvent>, SseTooLarge> {
        let mut seen = self.buffer.len();
        self.buffer.extend_from_slice(chunk);
        let mut done = Vec::new();
        let mut start = 0;
        while let Some(at) = self.buffer[seen..].iter().position(|b| *b == b'\n') {
            let end = seen + at;
            let line = String::from_utf8_lossy(&self.buffer[start..end]).trim_end_matches('\r').to_owned();
            start = end + 1;
            seen = start;
            if line.is_empty() {
                let event = std::mem::take(&mut self.current);
                if !event.data.is_empty() || event.id.is_some() {
                    done.push(event);
                }
            } else {
                self.field(&line);
            }
        }
        self.buffer.drain(..start);
        if self.buffer.len() + self.current.data.len() > self.limit {
            return Err(SseTooLarge(self.limit));
        }
        Ok(done)
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.current.event),
            "id" => self.current.id = Some(value.to_owned()),
            "data" => {
                if !self.current.data.is_empty() {
                    self.current.data.push('\n');
                }
                self.current.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stream_reads_the_same_however_it_is_cut(cuts in prop::collection::vec(1_usize..9, 1..60)) {
            let text = format!("{}: comment\r\n\r\n{}", write("delta", Some(7), r#"{"a":"ü"}"#), write("bookmark", None, "{}"));
            let mut reader = SseReader::new(1_000);
            let (mut rest, mut events) = (text.as_bytes(), Vec::new());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                events.extend(reader.push(now).expect("small"));
                rest = later;
            }
            prop_assert_eq!(events.len(), 2);
            prop_assert_eq!((events[0].event.as_str(), events[0].data.as_str(), events[0].id.as_deref()), ("delta", r#"{"a":"ü"}"#, Some("7")));
            prop_assert_eq!(&events[1].id, &None);
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = SseReader::new(64);
        assert!(reader.push(&[b'x'; 65]).is_err());
    }
}
