//! Real rules in a network namespace of the test's own, and real connections through them. Pods are addresses on
//! its loopback device.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    time::Duration,
};

use super::*;

const TABLE: &str = "knarr-test";
const POD_CIDR: &str = "10.42.0.0/24";
/// How long an answer may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn ip(arguments: &str) {
    assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success(), "ip {arguments}");
}

/// Runs the test on a thread that alone lives in a new network namespace.
fn in_namespace(test: impl AsyncFnOnce() + Send + 'static) {
    let in_thread = move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        ip("link set lo up");
        for pod in ["10.42.0.3", "10.42.0.4", "10.42.0.5", "192.0.2.7"] {
            ip(&format!("addr add {pod}/32 dev lo"));
        }
        ip("route add 10.96.0.0/16 dev lo");
        // Each pod answers with its last number and closes.
        for pod in [3, 4, 5] {
            let listener = TcpListener::bind((format!("10.42.0.{pod}"), 8080)).unwrap();
            std::thread::spawn(move || {
                for connection in listener.incoming() {
                    connection.unwrap().write_all(pod.to_string().as_bytes()).ok();
                }
            });
            let socket = UdpSocket::bind((format!("10.42.0.{pod}"), 8080)).unwrap();
            std::thread::spawn(move || {
                while let Ok((_, from)) = socket.recv_from(&mut [0; 16]) {
                    socket.send_to(pod.to_string().as_bytes(), from).ok();
                }
            });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    };
    std::thread::spawn(in_thread).join().unwrap();
}

fn call(address: &str) -> Result<String, std::io::ErrorKind> {
    let address: SocketAddr = address.parse().unwrap();
    let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(1)).map_err(|e| e.kind())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).map_err(|e| e.kind())?;
    Ok(answer)
}

fn answers(address: &str) -> BTreeSet<String> {
    (0..40).map(|_| call(address).unwrap()).collect()
}

fn target(pod: u8) -> Target {
    Target { address: Ipv4Addr::new(10, 42, 0, pod), port: 8080 }
}

fn at(protocol: Protocol) -> Match {
    Match::Address { address: Ipv4Addr::new(10, 96, 0, 5), protocol, port: 80 }
}

fn door(at: Match, pods: &[u8]) -> Door {
    let targets: Vec<Target> = pods.iter().map(|p| target(*p)).collect();
    let masquerade = matches!(at, Match::NodePort { .. });
    Door { at, serving: targets.clone(), targets, affinity: None, masquerade, drop_when_empty: false }
}

fn rules(doors: &[Door]) -> Rules {
    let mut rules = Rules::default();
    doors.iter().for_each(|d| rules.add(d));
    rules
}

/// Applies the step between two states, which must succeed.
async fn step(old: &Rules, new: &Rules) {
    netlink::nft::apply(&super::step(TABLE, POD_CIDR, Some(old), &mut new.clone())).await.unwrap();
}

/// Applies the whole.
async fn replace(rules: &Rules) {
    netlink::nft::apply(&super::step(TABLE, POD_CIDR, None, &mut rules.clone())).await.unwrap();
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|t| t.to_string()).collect()
}

#[test]
fn a_service_follows_its_endpoints() {
    in_namespace(async || {
        let node_port = Match::NodePort { protocol: Protocol::Tcp, port: 30080 };
        let both = |pods: &[u8]| rules(&[door(at(Protocol::Tcp), pods), door(node_port, pods)]);
        let (three, one, none) = (both(&[3, 4, 5]), both(&[4]), both(&[]));
        replace(&three).await;
        assert_eq!(answers("10.96.0.5:80"), set(&["3", "4", "5"]));
        assert_eq!(answers("192.0.2.7:30080"), set(&["3", "4", "5"]));
        step(&three, &one).await;
        assert_eq!(answers("10.96.0.5:80"), set(&["4"]));
        assert_eq!(answers("127.0.0.1:30080"), set(&["4"]));
        step(&one, &none).await;
        assert_eq!(call("10.96.0.5:80"), Err(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(call("192.0.2.7:30080"), Err(std::io::ErrorKind::ConnectionRefused));
        step(&none, &three).await;
        assert_eq!(answers("10.96.0.5:80"), set(&["3", "4", "5"]));
        // A restarted proxy replaces the table whatever it holds.
        replace(&one).await;
        assert_eq!(answers("10.96.0.5:80"), set(&["4"]));
        assert_eq!(super::step(TABLE, POD_CIDR, Some(&one), &mut one.clone()), "");
        crate::tear_down(TABLE).await.unwrap();
        assert!(call("10.96.0.5:80").is_err());
        crate::tear_down(TABLE).await.unwrap();
    });
}

#[test]
fn datagrams_are_carried() {
    in_namespace(async || {
        let rules = rules(&[door(at(Protocol::Udp), &[3])]);
        replace(&rules).await;
        let socket = UdpSocket::bind("192.0.2.7:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(b"?", "10.96.0.5:80").unwrap();
        let mut answer = [0; 1];
        socket.recv(&mut answer).unwrap();
        assert_eq!(&answer, b"3");
    });
}

/// What answers to a datagram from the socket.
fn ask(socket: &UdpSocket) -> Result<String, std::io::ErrorKind> {
    socket.send(b"?").map_err(|e| e.kind())?;
    let mut answer = [0; 8];
    let length = socket.recv(&mut answer).map_err(|e| e.kind())?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

#[test]
fn udp_flows_follow_the_endpoints_when_flushed() {
    in_namespace(async || {
        let node_port = Match::NodePort { protocol: Protocol::Udp, port: 30053 };
        let doors = |pods: &[u8]| [door(at(Protocol::Udp), pods), door(node_port, pods)];
        let (first, second) = (doors(&[3]), doors(&[4]));
        let udp = |doors: &[Door]| crate::flows::UdpDoors::of(doors.iter());
        let client = |to: &str| {
            let socket = UdpSocket::bind("192.0.2.7:0").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.connect(to).unwrap();
            socket
        };
        // Translation, and so tracking, is on in a namespace from its first rule on.
        replace(&Rules::default()).await;
        let (cluster, node) = (client("10.96.0.5:80"), client("192.0.2.7:30053"));
        assert_eq!(ask(&node), Err(std::io::ErrorKind::ConnectionRefused), "there is no Service yet");
        step(&Rules::default(), &rules(&first)).await;
        assert_eq!(ask(&node), Err(std::io::ErrorKind::ConnectionRefused), "the flow knows none");
        assert_eq!(crate::flows::flush(&udp(&[]), &udp(&first)).unwrap(), 1);
        assert_eq!((ask(&cluster), ask(&node)), (Ok("3".into()), Ok("3".into())));
        step(&rules(&first), &rules(&second)).await;
        assert_eq!((ask(&cluster), ask(&node)), (Ok("3".into()), Ok("3".into())), "the flows stay as they are");
        assert_eq!(crate::flows::flush(&udp(&first), &udp(&second)).unwrap(), 2);
        assert_eq!((ask(&cluster), ask(&node)), (Ok("4".into()), Ok("4".into())));
        assert_eq!(crate::flows::flush(&udp(&second), &udp(&second)).unwrap(), 0);
        step(&rules(&second), &Rules::default()).await;
        assert_eq!(crate::flows::flush(&udp(&second), &udp(&[])).unwrap(), 2, "the Service went");
    });
}

#[test]
fn a_client_stays_with_its_target_while_that_is_there() {
    in_namespace(async || {
        let sticky = |pods: &[u8], seconds| {
            rules(&[Door { affinity: Some(Affinity { seconds }), ..door(at(Protocol::Tcp), pods) }])
        };
        let (three, longer, plain) =
            (sticky(&[3, 4, 5], 60), sticky(&[3, 4, 5], 90), rules(&[door(at(Protocol::Tcp), &[3])]));
        replace(&three).await;
        let first = call("10.96.0.5:80").unwrap();
        assert_eq!(answers("10.96.0.5:80"), set(&[&first]));
        let kept: Vec<u8> = [first.parse().unwrap(), 3, 4].into_iter().collect::<BTreeSet<u8>>().into_iter().collect();
        let fewer = sticky(&kept[..2.max(kept.iter().position(|p| p.to_string() == first).unwrap() + 1)], 60);
        step(&three, &fewer).await;
        assert_eq!(answers("10.96.0.5:80"), set(&[&first]));
        step(&fewer, &longer).await;
        assert_eq!(answers("10.96.0.5:80").len(), 1);
        step(&longer, &plain).await;
        assert_eq!(answers("10.96.0.5:80"), set(&["3"]));
    });
}

#[test]
fn many_services_are_few_commands() {
    in_namespace(async || {
        let doors: Vec<Door> = (0..2000_u32)
            .map(|n| {
                let address = Ipv4Addr::from(0x0a60_0100 + n);
                door(Match::Address { address, protocol: Protocol::Tcp, port: 80 }, &[3, 4, 5])
            })
            .collect();
        let (all, fewer) = (rules(&doors), rules(&doors[1..]));
        replace(&all).await;
        assert_eq!(super::step(TABLE, POD_CIDR, Some(&all), &mut fewer.clone()).lines().count(), 2);
        step(&all, &fewer).await;
        assert_eq!(answers("10.96.1.1:80"), set(&["3", "4", "5"]));
    });
}

#[test]
fn a_service_may_outgrow_the_chains() {
    in_namespace(async || {
        let pods: Vec<u8> = (0..=MIN_CAPACITY).map(|n| 3 + (n % 3) as u8).collect();
        let (few, many) = (rules(&[door(at(Protocol::Tcp), &[3])]), rules(&[door(at(Protocol::Tcp), &pods)]));
        replace(&few).await;
        step(&few, &many).await;
        assert_eq!(answers("10.96.0.5:80"), set(&["3", "4", "5"]));
        let mut fewer = few.clone();
        super::step(TABLE, POD_CIDR, Some(&many), &mut fewer);
        assert_eq!(fewer.capacity, 2 * MIN_CAPACITY);
    });
}
