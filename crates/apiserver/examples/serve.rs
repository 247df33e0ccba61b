//! Runs an API server alone, until interrupted: `cargo run -p apiserver --example serve -- DIR PORT`.

#[path = "../tests/it/cluster.rs"]
mod cluster;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(dir), Some(port)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: serve DIR PORT");
    };
    let cluster = cluster::Cluster::start(dir.into(), port.parse()?, apiserver::Anonymous::Everything).await?;
    println!("{} {} {}", cluster.url(), cluster.kubeconfig()?.display(), cluster.server.is_ready());
    tokio::signal::ctrl_c().await?;
    cluster.store.close().await;
    Ok(())
}
