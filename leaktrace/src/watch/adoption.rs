//! Telling how far the first look is, while it is under way.

use super::message::Update;
use leaktrace_kernel::{Adoption, host};
use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// Time between two tellings. A look that takes less is not worth a word.
const EVERY: Duration = Duration::from_millis(100);

/// Does `work`, and meanwhile tells of the adoption, if there is one.
pub fn report_progress<T>(adoption: Option<Adoption>, tell: &(dyn Fn(Update) + Sync), work: impl FnOnce() -> T) -> T {
    match adoption {
        Some(adoption) => while_counting(|| adoption.sockets(), host::tcp_sockets(), tell, work),
        None => work(),
    }
}

fn while_counting<T>(
    count: impl Fn() -> u64 + Send,
    total: Option<u64>,
    tell: &(dyn Fn(Update) + Sync),
    work: impl FnOnce() -> T,
) -> T {
    let (end, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let handle = move || {
            let mut told = false;
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let done = count();
                // What is done is never all until the end, which is what ends the progress line.
                tell(Update::Adopting { done, total: total.map(|total| total.max(done + 1)) });
                told = true;
            }
            if told {
                let done = count();
                tell(Update::Adopting { done, total: Some(done) });
            }
        };
        // Without a thread to spare nothing is told, and the work is done all the same.
        let _ = thread::Builder::new().name("adoption".to_owned()).spawn_scoped(scope, handle);
        let outcome = work();
        drop(end);
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    };

    #[test]
    fn a_long_look_is_told_of_until_it_ends_and_a_short_one_is_not() {
        let told = Mutex::new(Vec::new());
        let tell = |update| {
            if let Update::Adopting { done, total } = update {
                told.lock().unwrap().push((done, total));
            }
        };
        assert_eq!(while_counting(|| 1, Some(9), &tell, || 7), 7);
        assert_eq!(*told.lock().unwrap(), []);

        let seen = AtomicU64::new(0);
        while_counting(
            || seen.load(Ordering::SeqCst),
            Some(9),
            &tell,
            || {
                while told.lock().unwrap().is_empty() {
                    seen.store(3, Ordering::SeqCst);
                    thread::yield_now();
                }
                seen.store(12, Ordering::SeqCst);
            },
        );
        let told = told.lock().unwrap();
        assert_eq!((told.first(), told.last()), (Some(&(3, Some(9))), Some(&(12, Some(12)))));
    }
}
