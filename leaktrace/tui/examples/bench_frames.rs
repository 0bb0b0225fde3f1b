//! `bench_frames SOCKETS CALLSITES COLUMNS ROWS`: prints how long the live view takes for a frame, a key and a snapshot of a made-up
//! host, as JSON. Run by `cargo xtask bench frame`.

use leaktrace_tui::{bench::Percentiles, bench_frames};

fn main() -> anyhow::Result<()> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let [sockets, callsites, columns, rows] = numbers[..] else {
        anyhow::bail!("four numbers are needed: sockets, call sites, columns, rows");
    };
    let times = bench_frames(sockets, callsites, columns.try_into()?, rows.try_into()?)?;
    let mut line = serde_json::Map::new();
    for (name, Percentiles { median, p99, max, .. }) in
        [("frame", times.frames), ("key", times.keys), ("snapshot", times.snapshots), ("derivation", times.derivations)]
    {
        for (which, time) in [("p50", median), ("p99", p99), ("max", max)] {
            line.insert(format!("{name}_{which}_ms"), (time.as_secs_f64() * 1e3).into());
        }
    }
    println!("{}", serde_json::Value::from(line));
    Ok(())
}
