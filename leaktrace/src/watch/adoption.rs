//! Reports the progress of the first sample, which adopts all sockets that are open already.

use super::message::Update;
use leaktrace_kernel::{Adoption, host};
use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

/// Time between two progress reports. A shorter adoption is not reported.
const EVERY: Duration = Duration::from_millis(100);

/// Does `work`, and reports the progress of the adoption meanwhile, if there is one.
pub(crate) fn report_progress<T>(
    adoption: Option<Adoption>,
    report: &(dyn Fn(Update) + Sync),
    work: impl FnOnce() -> T,
) -> T {
    match adoption {
        Some(adoption) => while_counting(|| adoption.sockets(), host::tcp_sockets(), report, work),
        None => work(),
    }
}

fn while_counting<T>(
    count: impl Fn() -> u64 + Send,
    total: Option<u64>,
    report: &(dyn Fn(Update) + Sync),
    work: impl FnOnce() -> T,
) -> T {
    let (end, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let handle = move || {
            let mut reported = false;
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let done = count();
                // `total` stays above `done` until the end, because equality ends the progress line.
                report(Update::Adopting { done, total: total.map(|total| total.max(done + 1)) });
                reported = true;
            }
            if reported {
                let done = count();
                report(Update::Adopting { done, total: Some(done) });
            }
        };
        // If no thread can be started, progress is not reported, and the work is still done.
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
    fn a_long_adoption_is_reported_until_it_ends_and_a_short_one_is_not() {
        let reported = Mutex::new(Vec::new());
        let report = |update| {
            if let Update::Adopting { done, total } = update {
                reported.lock().unwrap().push((done, total));
            }
        };
        assert_eq!(while_counting(|| 1, Some(9), &report, || 7), 7);
        assert_eq!(*reported.lock().unwrap(), []);

        let seen = AtomicU64::new(0);
        while_counting(
            || seen.load(Ordering::SeqCst),
            Some(9),
            &report,
            || {
                while reported.lock().unwrap().is_empty() {
                    seen.store(3, Ordering::SeqCst);
                    thread::yield_now();
                }
                seen.store(12, Ordering::SeqCst);
            },
        );
        let reported = reported.lock().unwrap();
        assert_eq!((reported.first(), reported.last()), (Some(&(3, Some(9))), Some(&(12, Some(12)))));
    }
}
