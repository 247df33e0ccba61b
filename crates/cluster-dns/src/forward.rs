//! Names that are not the cluster's: asked of the machine's own resolvers, as they were asked of us.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

/// How long one resolver has for its answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Each resolver is asked so often.
const ATTEMPTS: usize = 2;
const MAX_UDP_BYTES: usize = 4096;

/// The resolvers a `resolv.conf` names.
pub fn resolv_conf_servers(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| line.split_whitespace().collect::<Vec<_>>().try_into().ok())
        .filter_map(|[key, value]: [&str; 2]| (key == "nameserver").then_some(value))
        .filter_map(|address| Some(SocketAddr::new(address.parse().ok()?, 53)))
        .collect()
}

/// Passes a query on, byte for byte, and brings the first answer. The query's id is the client's: it is as random as
/// the client made it, and each query has a socket, and so a port, of its own.
pub(crate) async fn forward(query: &[u8], over_tcp: bool, resolvers: &[SocketAddr]) -> io::Result<Vec<u8>> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no resolver to ask");
    for resolver in resolvers.iter().cycle().take(resolvers.len() * ATTEMPTS) {
        let asked = async { if over_tcp { ask_tcp(query, *resolver).await } else { ask_udp(query, *resolver).await } };
        match tokio::time::timeout(TIMEOUT, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn ask_udp(query: &[u8], resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let any: SocketAddr = if resolver.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(resolver).await?;
    socket.send(query).await?;
    let mut answer = vec![0; MAX_UDP_BYTES];
    loop {
        let count = socket.recv(&mut answer).await?;
        // Only the answer to this query: the same id.
        if count >= 12 && answer[..2] == query[..2] {
            answer.truncate(count);
            return Ok(answer);
        }
    }
}

async fn ask_tcp(query: &[u8], resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    let length = u16::try_from(query.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_the_c_library_does() {
        let text = "# x\nsearch a b\nnameserver 10.0.0.1\nnameserver  fd00::1\nnameserver rubbish\noptions ndots:5\n";
        let expect: Vec<SocketAddr> = vec![([10, 0, 0, 1], 53).into(), "[fd00::1]:53".parse().expect("valid")];
        assert_eq!(resolv_conf_servers(text), expect);
    }
}
