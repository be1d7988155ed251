//! One thread at a time: an object that a second thread finds in use answers with an error, and nobody ever waits.

use crate::fault::{Fault, Result};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// A value that one call at a time is in. Empty once a call on it has panicked.
pub struct Gate<T> {
    inside: Mutex<Option<T>>,
    what: &'static str,
}

/// Rows shorter than this are decoded without giving the interpreter away: the step takes less than handing it over.
pub const LONG: usize = 1024;

impl<T: Send> Gate<T> {
    pub fn new(what: &'static str, value: T) -> Self {
        Gate { inside: Mutex::new(Some(value)), what }
    }

    fn lock(&self) -> Result<MutexGuard<'_, Option<T>>> {
        match self.inside.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::WouldBlock) => Err(Fault::Busy(self.what)),
            // Nothing panics while it is locked but what is caught.
            Err(TryLockError::Poisoned(guard)) => Ok(guard.into_inner()),
        }
    }

    /// Runs `body` on the value. If it is `long`, other Python threads run meanwhile.
    pub fn enter<R: Send>(&self, py: Python<'_>, long: bool, body: impl FnOnce(&mut T) -> R + Send) -> Result<R> {
        let mut guard = self.lock()?;
        let value = guard.as_mut().ok_or(Fault::Poisoned(self.what))?;
        match outside(py, long, || body(value)) {
            Ok(answer) => Ok(answer),
            Err(fault) => {
                *guard = None;
                Err(fault)
            }
        }
    }

    /// Runs `body`, which may use Python, on the value.
    pub fn with<R>(&self, body: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
        let mut guard = self.lock()?;
        let value = guard.as_mut().ok_or(Fault::Poisoned(self.what))?;
        match catch_unwind(AssertUnwindSafe(|| body(value))) {
            Ok(answer) => answer,
            Err(payload) => {
                *guard = None;
                Err(Fault::Panic(text_of(&payload)))
            }
        }
    }
}

/// Runs `body` while other Python threads run, if it is `long`. A panic is an error.
pub fn outside<R: Send>(py: Python<'_>, long: bool, body: impl FnOnce() -> R + Send) -> Result<R> {
    let guarded = || catch_unwind(AssertUnwindSafe(body)).map_err(|payload| text_of(&payload));
    let answer = if long { py.detach(guarded) } else { guarded() };
    answer.map_err(Fault::Panic)
}

fn text_of(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason was given".to_owned())
}

/// Several gates entered at once, in order: the values are taken out, and put back whatever happens but a panic.
pub struct Several<'g, T> {
    guards: Vec<(MutexGuard<'g, Option<T>>, &'g Gate<T>)>,
    values: Vec<T>,
}

impl<'g, T: Send> Several<'g, T> {
    /// Takes the values out. An object that stands in the list twice is in use by the time it comes again.
    pub fn enter(gates: impl IntoIterator<Item = &'g Gate<T>>) -> Result<Self> {
        let mut several = Several { guards: Vec::new(), values: Vec::new() };
        for gate in gates {
            let mut guard = gate.lock().map_err(|fault| match fault {
                Fault::Busy(what) if several.guards.iter().any(|(_, known)| std::ptr::eq(*known, gate)) => {
                    Fault::Twice(what)
                }
                fault => fault,
            })?;
            let value = guard.take().ok_or(Fault::Poisoned(gate.what))?;
            several.guards.push((guard, gate));
            several.values.push(value);
        }
        Ok(several)
    }

    /// The values.
    pub fn values(&mut self) -> &mut [T] {
        &mut self.values
    }

    /// Runs `body` on all of them.
    pub fn run<R: Send>(&mut self, py: Python<'_>, long: bool, body: impl FnOnce(&mut [T]) -> R + Send) -> Result<R> {
        let values = &mut self.values;
        match outside(py, long, || body(values)) {
            Ok(answer) => Ok(answer),
            Err(fault) => {
                self.lose();
                Err(fault)
            }
        }
    }

    /// Does not put the values back: a call on them has panicked.
    pub fn lose(&mut self) {
        self.values.clear();
    }
}

impl<T> Drop for Several<'_, T> {
    fn drop(&mut self) {
        for ((guard, _), value) in self.guards.iter_mut().zip(self.values.drain(..)) {
            **guard = Some(value);
        }
    }
}
