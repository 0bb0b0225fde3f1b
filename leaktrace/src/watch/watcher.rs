//! The watcher: a thread that takes a look at every interval, and what orders it and listens to it.

use super::{
    adoption,
    message::{Control, Detail, Each, Update, WatchError},
    session::{RecordTo, Session},
};
use crate::config::WatchConfig;
use std::{
    sync::mpsc::{self, TryRecvError},
    thread::{self, Thread},
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How often a tree of processes is looked at while it runs: nobody calls when sockets are left or the last one ends.
const TREE_LOOK: Duration = Duration::from_millis(25);

/// How much of what it tells may wait to be taken: each snapshot of a large host is megabytes.
const WAITING: usize = 4;

/// A way to tell a watcher something, from wherever.
#[derive(Clone, Debug)]
pub struct Handle {
    orders: mpsc::Sender<Control>,
    /// Rests between looks, and must be woken to hear. There is none if it could not be started.
    watcher: Option<Thread>,
}

impl Handle {
    /// Tells it something. It is done with what it is at first.
    pub fn tell(&self, control: Control) {
        // A watcher that has ended needs no orders.
        let _ = self.orders.send(control);
        if let Some(watcher) = &self.watcher {
            watcher.unpark();
        }
    }
}

/// A running watcher.
pub struct Watch {
    updates: Receiver<Update>,
    control: Handle,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watch {
    /// Starts one.
    pub fn start(config: WatchConfig, each: Each) -> Self {
        Self::start_with(config, each, None)
    }

    /// Starts one that writes every sample into a recording, which is whole when [`Update::Last`] comes.
    pub fn start_recording(config: WatchConfig, to: RecordTo) -> Self {
        Self::start_with(config, Each::Remember, Some(to))
    }

    fn start_with(config: WatchConfig, each: Each, record: Option<RecordTo>) -> Self {
        let (orders, received) = mpsc::channel();
        let (tell, updates) = channel(WAITING);
        let thread = thread::Builder::new().name("sampler".to_owned()).spawn(move || {
            let outcome = run(config, each, record, &received, &|update| tell_of(update, &tell));
            if let Err(error) = outcome {
                tell_of(Update::Failed(error), &tell);
            }
        });
        let thread = thread.ok();
        let watcher = thread.as_ref().map(|thread| thread.thread().clone());
        Self { updates, control: Handle { orders, watcher }, thread }
    }

    /// Tells it something.
    pub fn tell(&self, control: Control) {
        self.control.tell(control);
    }

    /// A way to tell it something from elsewhere.
    pub fn handle(&self) -> Handle {
        self.control.clone()
    }

    /// What it tells.
    pub fn updates_mut(&mut self) -> &mut Receiver<Update> {
        &mut self.updates
    }

    /// What it tells, for another thread to listen to; nothing more comes here.
    pub fn take_updates(&mut self) -> Receiver<Update> {
        std::mem::replace(&mut self.updates, channel(WAITING).1)
    }
}

impl Drop for Watch {
    /// Waits until the hooks are detached, which is what ends the kernel side.
    fn drop(&mut self) {
        self.tell(Control::Stop);
        // It may be waiting for room to tell something.
        self.updates.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Tells what must be known, however long that waits to be taken; what the next look says anew, only where there is room.
fn tell_of(update: Update, tell: &Sender<Update>) {
    // Where nobody listens any more, the program is on its way out.
    match update {
        Update::Snapshot(_) | Update::Adopting { .. } => drop(tell.try_send(update)),
        Update::Started(_) | Update::Last(_) | Update::Failed(_) => drop(tell.blocking_send(update)),
    }
}

fn run(
    config: WatchConfig,
    each: Each,
    record: Option<RecordTo>,
    orders: &mpsc::Receiver<Control>,
    tell: &(dyn Fn(Update) + Sync),
) -> Result<(), WatchError> {
    let follows_tree = config.tree.is_some();
    let mut session = Session::start(config)?;
    if let Some(to) = record {
        session.record(to)?;
    }
    let mut next = Instant::now();
    if follows_tree {
        // The command may be over before a first look is, and its stacks would be placed after its end.
        session.look(Detail::Suspects, false)?;
        next += session.interval();
    }
    tell(Update::Started(session.hooks()));
    let mut parting = None;
    let mut adoption = session.adoption();
    loop {
        let order = match parting {
            Some((detail, until)) if session.running() == 0 || Instant::now() >= until => Ok(Control::Finish(detail)),
            _ => orders.try_recv(),
        };
        match order {
            Ok(Control::Finish(detail)) => {
                session.look(detail, true)?;
                session.finish_recording()?;
                tell(Update::Last(Box::new(session.snapshot())));
                return Ok(());
            }
            Ok(Control::FinishAlone(detail, longest)) => {
                parting = Some((detail, Instant::now() + longest));
                continue;
            }
            Ok(Control::SetLimits(limits)) => {
                session.set_limits(limits);
                continue;
            }
            Ok(Control::Stop) | Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {}
        }
        let wait = next.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            session.attend(if follows_tree { wait.min(TREE_LOOK) } else { wait })?;
            continue;
        }
        match each {
            Each::Show(detail) => {
                adoption::report_progress(adoption.take(), tell, || session.look(detail, false))?;
                tell(Update::Snapshot(Box::new(session.snapshot())));
            }
            Each::Remember => session.look(Detail::Suspects, false)?,
        }
        // A look that took longer than the interval is followed by at least half of one of rest.
        let interval = session.interval();
        next = (next + interval).max(Instant::now() + interval / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_nobody_takes_do_not_pile_up_and_the_last_one_comes() {
        let (tell, mut updates) = channel(WAITING);
        (0..10 * WAITING).for_each(|_| tell_of(Update::Snapshot(Box::default()), &tell));
        assert_eq!(updates.len(), WAITING);
        let watcher = thread::spawn(move || tell_of(Update::Last(Box::default()), &tell));
        let told: Vec<Update> = std::iter::from_fn(|| updates.blocking_recv()).collect();
        assert!(watcher.join().is_ok());
        assert_eq!(told.len(), WAITING + 1);
        assert!(matches!(told.last(), Some(Update::Last(_))));
    }

    #[test]
    fn a_watcher_with_something_to_tell_ends_with_whoever_would_have_heard_it() {
        let (tell, mut updates) = channel(1);
        tell_of(Update::Snapshot(Box::default()), &tell);
        let watcher = thread::spawn(move || tell_of(Update::Last(Box::default()), &tell));
        updates.close();
        assert!(watcher.join().is_ok());
    }

    #[test]
    fn an_order_wakes_a_watcher_that_rests() {
        let (orders, received) = mpsc::channel();
        let watcher = thread::spawn(move || {
            loop {
                match received.try_recv() {
                    Ok(order) => return order,
                    Err(_) => thread::park_timeout(Duration::from_secs(3600)),
                }
            }
        });
        // So that it rests already; else the test shows nothing, but fails for nothing either.
        thread::sleep(Duration::from_millis(100));
        Handle { orders, watcher: Some(watcher.thread().clone()) }.tell(Control::Stop);
        assert_eq!(watcher.join().unwrap(), Control::Stop);
    }
}
