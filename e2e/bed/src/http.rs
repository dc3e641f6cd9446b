//! As much HTTP/1.1 as is needed to ask a pod or a Service something from a program without an HTTP client.

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Decoded.
    pub body: String,
}

impl Response {
    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// `GET http://<address><path>`, 10 s at most.
pub fn get(address: SocketAddr, path: &str) -> Result<Response> {
    request("GET", address, path, None)
}

/// `POST http://<address><path>` without a body, 10 s at most.
pub fn post(address: SocketAddr, path: &str) -> Result<Response> {
    request("POST", address, path, None)
}

/// One request on a connection of its own. `host` is the Host header, the address if there is none.
pub fn request(method: &str, address: SocketAddr, path: &str, host: Option<&str>) -> Result<Response> {
    let limit = Duration::from_secs(10);
    let mut stream = TcpStream::connect_timeout(&address, limit).with_context(|| address.to_string())?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let host = host.map_or_else(|| address.to_string(), str::to_owned);
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    parse(&mut BufReader::new(stream)).with_context(|| format!("{method} http://{address}{path}"))
}

fn parse(reader: &mut impl BufRead) -> Result<Response> {
    let first = line(reader)?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status line")?;
    let mut headers = Vec::new();
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response { status, headers, body: String::new() };
    let mut body = Vec::new();
    if response.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        loop {
            let size = usize::from_str_radix(line(reader)?.split(';').next().unwrap_or_default(), 16)?;
            if size == 0 {
                break;
            }
            let read = reader.take(size as u64).read_to_end(&mut body)?;
            if read != size || !line(reader)?.is_empty() {
                bail!("the answer was cut off");
            }
        }
    } else if let Some(length) = response.header("content-length") {
        let length = length.parse()?;
        if reader.take(length).read_to_end(&mut body)? as u64 != length {
            bail!("the answer was cut off");
        }
    } else {
        reader.read_to_end(&mut body)?;
    }
    response.body = String::from_utf8_lossy(&body).into_owned();
    Ok(response)
}

fn line(reader: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        bail!("the connection was closed");
    }
    Ok(line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_chunked_body_is_put_together() {
        let mut answer: &[u8] =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Next: 7\r\n\r\n4\r\nab\r\n\r\n1\r\nc\r\n0\r\n\r\n";
        let response = parse(&mut answer).unwrap();
        assert_eq!((response.status, response.body.as_str()), (200, "ab\r\nc"));
        assert_eq!(response.header("x-next"), Some("7"));
    }

    #[test]
    fn a_body_that_is_cut_off_is_an_error() {
        let mut answer: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort";
        assert!(parse(&mut answer).is_err());
    }

    #[test]
    fn a_body_without_a_length_goes_to_the_end() {
        let mut answer: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\r\nno healthy upstream";
        let response = parse(&mut answer).unwrap();
        assert_eq!((response.status, response.body.as_str()), (503, "no healthy upstream"));
    }
}
