// What the host offers, and JSON as far as a check needs it. Included by the
// guests beside it: no crates are needed.

#[link(wasm_import_module = "env")]
extern "C" {
    fn get_config(buf: *mut u8, size: usize) -> i32;
    fn log(level: u32, text: *const u8, size: usize);
    fn submit_result(doc: *const u8, size: usize) -> i32;
    fn http_request(req: *const u8, req_size: usize, resp: *mut u8, resp_size: usize) -> i32;
}

const TOO_LARGE: i32 = -3;

/// Reads the config into ever larger buffers; only "too small" asks for the next.
fn read_config() -> Result<Vec<u8>, i32> {
    for size in [16 << 10, 64 << 10, 256 << 10, 2 << 20] {
        let mut buf = vec![0u8; size];
        let n = unsafe { get_config(buf.as_mut_ptr(), size) };
        if n >= 0 && n as usize <= size {
            buf.truncate(n as usize);
            return Ok(buf);
        }
        if n != TOO_LARGE {
            return Err(n.min(-1));
        }
    }
    Err(TOO_LARGE)
}

/// Asks the host for a URL. The response buffer has the size that all SDKs use.
fn fetch(request: &str) -> Result<Vec<u8>, i32> {
    let mut buf = vec![0u8; 4 << 20];
    let n = unsafe { http_request(request.as_ptr(), request.len(), buf.as_mut_ptr(), buf.len()) };
    if n < 0 {
        return Err(n);
    }
    buf.truncate(n as usize);
    Ok(buf)
}

fn host_log(level: u32, text: &str) {
    unsafe { log(level, text.as_ptr(), text.len()) }
}

fn submit(doc: &str) {
    unsafe { submit_result(doc.as_ptr(), doc.len()) };
}

/// One JSON value. Numbers keep their text; what is no JSON reads as Null.
#[derive(Clone, Debug, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    fn parse(bytes: &[u8]) -> Json {
        let text = String::from_utf8_lossy(bytes);
        let mut reader = Reader { rest: &text, depth: 0 };
        let value = reader.value();
        if reader.blank().is_empty() { value.unwrap_or(Json::Null) } else { Json::Null }
    }

    fn get(&self, name: &str) -> &Json {
        match self {
            Json::Object(fields) => fields.iter().find(|(k, _)| k == name).map_or(&Json::Null, |(_, v)| v),
            _ => &Json::Null,
        }
    }

    fn text(&self) -> &str {
        if let Json::Text(s) = self { s } else { "" }
    }

    /// The whole part of a number, 0 for anything else.
    fn number(&self) -> i64 {
        if let Json::Number(s) = self { s.split(['.', 'e', 'E']).next().and_then(|i| i.parse().ok()).unwrap_or(0) } else { 0 }
    }

    #[allow(dead_code)] // not every guest sends JSON on
    fn write(&self) -> String {
        match self {
            Json::Null => "null".into(),
            Json::Bool(b) => b.to_string(),
            Json::Number(s) => s.clone(),
            Json::Text(s) => quote(s),
            Json::List(l) => format!("[{}]", l.iter().map(Json::write).collect::<Vec<_>>().join(",")),
            Json::Object(o) => format!("{{{}}}", o.iter().map(|(k, v)| format!("{}:{}", quote(k), v.write())).collect::<Vec<_>>().join(",")),
        }
    }
}

fn quote(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 => out += &format!("\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out + "\""
}

struct Reader<'a> {
    rest: &'a str,
    depth: u32,
}

impl<'a> Reader<'a> {
    fn blank(&mut self) -> &'a str {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.rest
    }

    fn eat(&mut self, token: &str) -> bool {
        if let Some(rest) = self.blank().strip_prefix(token) {
            self.rest = rest;
            return true;
        }
        false
    }

    fn value(&mut self) -> Option<Json> {
        for (word, value) in [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))] {
            if self.eat(word) {
                return Some(value);
            }
        }
        self.depth += 1;
        let value = match self.blank().chars().next()? {
            _ if self.depth > 32 => None,
            '"' => self.string().map(Json::Text),
            '[' => self.list(),
            '{' => self.object(),
            _ => self.number(),
        };
        self.depth -= 1;
        value
    }

    fn number(&mut self) -> Option<Json> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        if !digits.contains(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.rest = rest;
        Some(Json::Number(digits.into()))
    }

    fn list(&mut self) -> Option<Json> {
        let mut items = vec![];
        self.eat("[");
        if self.eat("]") {
            return Some(Json::List(items));
        }
        loop {
            items.push(self.value()?);
            if self.eat("]") {
                return Some(Json::List(items));
            }
            if !self.eat(",") {
                return None;
            }
        }
    }

    fn object(&mut self) -> Option<Json> {
        let mut fields = vec![];
        self.eat("{");
        if self.eat("}") {
            return Some(Json::Object(fields));
        }
        loop {
            self.blank();
            let key = self.string()?;
            if !self.eat(":") {
                return None;
            }
            fields.push((key, self.value()?));
            if self.eat("}") {
                return Some(Json::Object(fields));
            }
            if !self.eat(",") {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut out = String::new();
        let mut chars = self.rest.strip_prefix('"')?.chars();
        loop {
            match chars.next()? {
                '"' => break,
                '\\' => match chars.next()? {
                    'u' => {
                        let mut unit = hex(&mut chars)?;
                        if (0xd800..0xdc00).contains(&unit) {
                            let mut ahead = chars.clone();
                            if let (Some('\\'), Some('u'), Some(low @ 0xdc00..=0xdfff)) = (ahead.next(), ahead.next(), hex(&mut ahead)) {
                                unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                                chars = ahead;
                            }
                        }
                        out.push(char::from_u32(unit).unwrap_or('\u{fffd}'));
                    }
                    'b' => out.push('\u{8}'),
                    'f' => out.push('\u{c}'),
                    'n' => out.push('\n'),
                    'r' => out.push('\r'),
                    't' => out.push('\t'),
                    c @ ('"' | '\\' | '/') => out.push(c),
                    _ => return None,
                },
                c => out.push(c),
            }
        }
        self.rest = chars.as_str();
        Some(out)
    }
}

fn hex(chars: &mut std::str::Chars) -> Option<u32> {
    (0..4).try_fold(0, |v, _| Some(v * 16 + chars.next()?.to_digit(16)?))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut have, mut out) = (0u32, 0, vec![]);
    for c in text.trim_end_matches('=').bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | six as u32;
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    Some(out)
}
