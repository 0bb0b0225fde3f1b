//! A Rust client that leaks connections: main → shop::Server::run → shop::handle_request → shop::leak_from_rust.
//!
//! Speaks the protocol of the scenarios: one line of truth on stdout, then it holds until stdin closes.

use std::net::{SocketAddr, TcpListener};

mod shop {
    use std::net::{SocketAddr, TcpStream};

    #[inline(never)]
    pub fn leak_from_rust(peer: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(peer);
        std::hint::black_box(stream).expect("a peer")
    }

    #[inline(never)]
    pub fn handle_request(peer: SocketAddr, kept: &mut Vec<TcpStream>) -> usize {
        kept.push(leak_from_rust(peer));
        kept.len()
    }

    pub struct Server {
        pub kept: Vec<TcpStream>,
    }

    impl Server {
        #[inline(never)]
        pub fn run(&mut self, peer: SocketAddr) -> usize {
            while std::hint::black_box(handle_request(peer, &mut self.kept)) < 3 {}
            self.kept.len()
        }
    }
}

fn main() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let peer = listener.local_addr().expect("its address");
    let mut server = shop::Server { kept: Vec::new() };
    let count = std::hint::black_box(server.run(peer));
    let (pid, port) = (std::process::id(), peer.port());
    let comm = std::fs::read_to_string("/proc/self/comm").expect("its name");
    let comm = comm.trim_end();
    println!(
        r#"{{"ready":true,"program":"rust","pid":{pid},"expect":[{{"role":"leaker","direction":"connect","remote_port":{port},"count":{count},"pid":{pid},"comm":"{comm}","verdicts":["silent-peer"],"tolerated":["idle-unguarded"],"severity_max":"suspect","holders":[{pid}],"state":"ESTABLISHED","family":"ipv4","function":"shop::leak_from_rust","callers":["shop::handle_request","shop::Server::run","main"]}}]}}"#
    );
    // Ends with the suite, which closes the pipe even when it is killed.
    let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
}
