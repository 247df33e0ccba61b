//! Name/value header blocks: one zlib stream a direction for the whole connection, primed with the dictionary of the
//! SPDY/3 draft (section 2.6.10.1).

use std::sync::LazyLock;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::SpdyError;

/// A header block is refused when it unpacks to more.
const MAX_BLOCK_BYTES: usize = 64 * 1024;

/// The words of the dictionary that stand with their length before them.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language \
    accept-ranges age allow authorization cache-control connection content-base content-encoding content-language \
    content-length content-location content-md5 content-range content-type date etag expect expires from host \
    if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
    user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie \
    keep-alive origin";

/// The rest of the dictionary, bare.
const TAIL: &str = concat!(
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505",
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized",
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable",
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT",
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,",
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.",
);

static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut dictionary = Vec::new();
    for word in WORDS.split_whitespace().map(|w| w.replace('_', " ")) {
        dictionary.extend_from_slice(&(word.len() as u32).to_be_bytes());
        dictionary.extend_from_slice(word.as_bytes());
    }
    dictionary.extend_from_slice(TAIL.as_bytes());
    dictionary
});

/// Names are lower case on the wire; order is kept.
pub(crate) type Headers = Vec<(String, String)>;

pub(crate) struct Packer(Compress);

impl Packer {
    pub(crate) fn new() -> Self {
        let mut compress = Compress::new(Compression::fast(), true);
        compress.set_dictionary(&DICTIONARY).expect("a dictionary is allowed before the first byte");
        Self(compress)
    }

    pub(crate) fn pack(&mut self, headers: &[(String, String)]) -> Result<Vec<u8>, SpdyError> {
        let mut plain = (headers.len() as u32).to_be_bytes().to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend_from_slice(&(text.len() as u32).to_be_bytes());
            plain.extend_from_slice(text.as_bytes());
        }
        // A flushed block is never larger than its input and zlib's overhead.
        let mut packed = Vec::with_capacity(plain.len() + 256);
        self.0.compress_vec(&plain, &mut packed, FlushCompress::Sync).map_err(|_| SpdyError::Headers)?;
        Ok(packed)
    }
}

pub(crate) struct Unpacker {
    decompress: Decompress,
    primed: bool,
}

impl Unpacker {
    pub(crate) fn new() -> Self {
        Self { decompress: Decompress::new(true), primed: false }
    }

    pub(crate) fn unpack(&mut self, packed: &[u8]) -> Result<Headers, SpdyError> {
        let mut plain = Vec::with_capacity(4 * 1024);
        let mut rest = packed;
        loop {
            let before = (self.decompress.total_in(), plain.len());
            let status = match self.decompress.decompress_vec(rest, &mut plain, FlushDecompress::Sync) {
                Err(error) if error.needs_dictionary().is_some() && !self.primed => {
                    rest = &rest[(self.decompress.total_in() - before.0) as usize..];
                    self.decompress.set_dictionary(&DICTIONARY).map_err(|_| SpdyError::Headers)?;
                    self.primed = true;
                    continue;
                }
                other => other.map_err(|_| SpdyError::Headers)?,
            };
            rest = &rest[(self.decompress.total_in() - before.0) as usize..];
            let progressed = plain.len() > before.1 || self.decompress.total_in() > before.0;
            if plain.len() == plain.capacity() && progressed {
                if plain.len() >= MAX_BLOCK_BYTES {
                    return Err(SpdyError::Headers);
                }
                plain.reserve(plain.len());
                continue;
            }
            if rest.is_empty() || status == Status::StreamEnd || !progressed {
                break;
            }
        }
        parse(&plain).ok_or(SpdyError::Headers)
    }
}

fn parse(plain: &[u8]) -> Option<Headers> {
    let mut rest = plain;
    let number = |rest: &mut &[u8]| {
        let (head, tail) = rest.split_first_chunk::<4>()?;
        *rest = tail;
        Some(u32::from_be_bytes(*head) as usize)
    };
    let count = number(&mut rest)?;
    let text = |rest: &mut &[u8]| {
        let length = number(rest)?;
        let (head, tail) = rest.split_at_checked(length)?;
        *rest = tail;
        Some(String::from_utf8_lossy(head).into_owned())
    };
    let mut headers = Vec::new();
    for _ in 0..count {
        headers.push((text(&mut rest)?, text(&mut rest)?));
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_drafts() {
        assert_eq!(DICTIONARY.len(), 1423);
        // zlib writes the dictionary's Adler-32 behind its two header bytes.
        let packed = Packer::new().pack(&[]).expect("packs");
        assert_eq!(packed[2..6], [0xe3, 0xc6, 0xa7, 0xc2]);
    }

    #[test]
    fn blocks_of_one_connection_unpack_in_order() {
        let (mut packer, mut unpacker) = (Packer::new(), Unpacker::new());
        for round in 0..100 {
            let headers = vec![
                ("streamtype".to_owned(), "stdin".to_owned()),
                ("requestid".to_owned(), round.to_string()),
                ("x".repeat(round * 20), "y".repeat(round * 50)),
            ];
            let packed = packer.pack(&headers).expect("packs");
            assert_eq!(unpacker.unpack(&packed).expect("unpacks"), headers);
        }
    }

    #[test]
    fn rubbish_is_refused() {
        assert!(Unpacker::new().unpack(b"rubbish").is_err());
        assert_eq!(parse(&[0, 0, 0, 1, 0, 0, 0, 9, b'x']), None);
    }
}
