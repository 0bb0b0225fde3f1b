//! Folded stacks, one a line, weighed by open sockets: what flame graph tools and speedscope read.

use crate::{callsite_name::folded_path, writer::Format};
use leaktrace_model::Snapshot;
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// `--format folded`
pub(crate) struct Folded;

impl Format for Folded {
    fn write(&self, snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
        // Call sites that differ in addresses only have the same names: they are one stack here.
        let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
        for site in snapshot.callsites.iter().filter(|site| site.sums.open > 0) {
            let weight = stacks.entry(folded_path(site).join(";")).or_default();
            *weight = weight.saturating_add(site.sums.open);
        }
        for (stack, open) in stacks {
            writeln!(out, "{stack} {open}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leaktrace_model::fixtures;

    fn render(snapshot: &Snapshot) -> String {
        let mut out = Vec::new();
        Folded.write(snapshot, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn stacks_are_root_first_and_weighed_by_open_sockets() {
        assert_eq!(
            render(&fixtures::rich()),
            "api;__libc_start_main;api::main;api::handler::profile;api::upstream::fetch_user;api::upstream::open;\
             std::net::tcp::TcpStream::connect;connect 120\n\
             api;api::server::serve;accept4 1100\n\
             worker;[no stack] 20\n\
             worker;start_thread;0x7f1122334455 29\n"
        );
        assert_eq!(render(&fixtures::empty()), "");
    }

    #[test]
    fn a_hostile_name_stays_within_its_frame() {
        for line in render(&fixtures::hostile()).lines() {
            let (stack, weight) = line.rsplit_once(' ').unwrap();
            assert!(weight.parse::<u64>().is_ok(), "{line}");
            assert!(stack.split(';').count() <= 8, "{line}");
        }
    }
}
