//! The last events of a run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// The last events, for whoever has to find out what went wrong.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<VecDeque<String>>>);

const TRACED: usize = 60;

impl Trace {
    pub fn note(&self, what: String) {
        let mut events = self.0.lock().expect("nobody panics with this lock");
        if events.len() == TRACED {
            events.pop_front();
        }
        events.push_back(what);
    }

    pub fn text(&self) -> String {
        let events = self.0.lock().expect("nobody panics with this lock");
        events.iter().map(|event| format!("  {event}\n")).collect()
    }
}
