//! The namer: reads files of all users, places stacks and names them, and may be ended at any time.

use super::{
    channel::Channel,
    confine, memory,
    message::{Request, Response, Site, Translation, WireLocation, WireStack, role_of},
    pages::Busy,
    remote::{self, Remote},
    spawn::{FETCHER, NAMER},
};
use crate::{Images, Placer, Symbolizer, fetch::Fetch, work};
use leaktrace_model::{CallsiteStack, Frame, Modules, NewSite, Place, Unwind};
use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd, OwnedFd},
    process,
    sync::{Arc, Mutex},
};

/// Runs a helper process to its end if this is one; otherwise returns at once. Call it before anything else.
pub fn serve_if_helper() {
    let name = std::env::args_os().next();
    let serve = match name.as_deref().and_then(OsStr::to_str) {
        Some(NAMER) => serve,
        Some(FETCHER) => || {
            let line = io::stdin().as_fd().try_clone_to_owned()?;
            confine::fetcher()?;
            remote::serve(line)
        },
        _ => return,
    };
    end_with_the_tracer();
    // Without a line to a tracer there is nothing to do.
    process::exit(i32::from(serve().is_err()));
}

fn serve() -> io::Result<()> {
    let line: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    let mut channel = Channel::of(line.try_clone()?);
    let fetch = Arc::new(Remote::new(Channel::of(io::stdout().as_fd().try_clone_to_owned()?)));
    let Request::Hello { unwind, table_bytes, refusals } = channel.receive(None)? else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    // A second handle on the same line: one thread serves, so messages do not mix.
    let says = Mutex::new(Channel::of(line));
    let say = move |subject| {
        if let Ok(mut says) = says.lock() {
            // If the tracer is gone, the next request says so.
            let _ = says.send(&Response::Works(subject), None);
        }
    };
    work::report(say, *refusals);
    let busy = confine::namer(table_bytes, Busy::start)?;
    let mut namer = Namer::new(unwind, table_bytes, fetch);
    loop {
        match channel.receive(None) {
            Ok(request) => {
                work::begin_request();
                busy.set(true);
                let response = namer.answer(request);
                busy.set(false);
                if let Some(response) = response {
                    channel.send(&response, None)?;
                }
            }
            // The tracer has ended.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Has the kernel end this process when the tracer's thread that started it ends, however that comes.
fn end_with_the_tracer() {
    // SAFETY: the call takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // A panic is the end of this process: the tracer starts another.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("leaktrace: a helper process ends: {panic}");
        process::abort();
    }));
}

struct Namer {
    modules: Modules,
    placer: Placer,
    symbolizer: Symbolizer,
    translation: Translation,
}

impl Namer {
    fn new(unwind: Unwind, table_bytes: usize, fetch: Arc<dyn Fetch>) -> Self {
        let (modules, images) = (Modules::default(), Images::new(fetch));
        let placer = Placer::new(unwind, modules.clone(), images.clone());
        let symbolizer = Symbolizer::new(modules.clone(), images, table_bytes).with_allocated(memory::allocated);
        Self { modules, placer, symbolizer, translation: Translation::default() }
    }

    fn answer(&mut self, request: Request) -> Option<Response> {
        match request {
            Request::Hello { .. } => None,
            Request::Place { pid, sites } => Some(self.place(pid, &sites)),
            Request::Note { pid } => {
                self.placer.note_process(pid);
                None
            }
            Request::Name { modules, places } => {
                self.translation.learn(&self.modules, modules);
                let named = places.into_iter().map(|(place, is_return)| self.name(place, is_return)).collect();
                self.symbolizer.settle();
                Some(Response::Named(named))
            }
            Request::Forget => {
                let placing = self.placer.forget_unused();
                Some(Response::Forgotten(self.symbolizer.forget_unused() || placing))
            }
        }
    }

    fn place(&mut self, pid: u32, sites: &[Site]) -> Response {
        let views: Vec<NewSite<'_>> = sites.iter().map(Site::view).collect();
        let stacks: Vec<CallsiteStack> = self.placer.place_all(pid, &views);
        let locations = stacks.iter().flat_map(|stack| &stack.locations);
        let modules = self.translation.define(&self.modules, locations);
        Response::Placed { modules, stacks: stacks.iter().map(WireStack::of).collect() }
    }

    fn name(&mut self, place: WireLocation, is_return: bool) -> Option<Vec<Frame>> {
        let place = self.translation.location(place);
        self.symbolizer.frames_at(&place, role_of(is_return)).map(|frames| frames.to_vec())
    }
}
