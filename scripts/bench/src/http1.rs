//! The least of HTTP/1.1 that a client of one kept-alive connection needs, so that it costs little.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One kept-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::new() })
    }

    /// Sends a request and waits for the whole of an answer that says 200.
    pub async fn ask(&mut self, request: &str) -> Result<()> {
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            if let Some(end) = answer_end(&self.buffer)?
                && self.buffer.len() >= end
            {
                break;
            }
        }
        if !self.buffer.starts_with(b"HTTP/1.1 200") {
            bail!("the server answered {}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(())
    }
}

/// Where the answer ends, once its head is there.
fn answer_end(bytes: &[u8]) -> Result<Option<usize>> {
    const NAME: &str = "content-length: ";
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head])?;
    let line = text
        .lines()
        .find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)));
    let length: usize =
        line.context("expected a content-length in the answer")?[NAME.len()..].parse()?;
    Ok(Some(head + 4 + length))
}
