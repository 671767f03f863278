// What the host offers, and as much JSON as a check needs.

@external("env", "get_config") declare function getConfig(buf: usize, size: i32): i32;
@external("env", "log") declare function hostLog(level: i32, text: usize, size: i32): void;
@external("env", "submit_result") declare function submitResult(doc: usize, size: i32): i32;
@external("env", "http_request") declare function httpRequest(req: usize, reqSize: i32, resp: usize, respSize: i32): i32;
@external("env", "udp_sendto") declare function udpSendto(host: usize, hostSize: i32, port: i32, data: usize, size: i32, timeoutMS: i32): i32;

const TOO_LARGE = -3;

function decode(buf: ArrayBuffer, size: i32): string {
  return String.UTF8.decodeUnsafe(changetype<usize>(buf), size);
}

// readConfig names ever larger buffers, and the next one only when the host
// says that one was too small. Unreadable config reads as empty.
export function readConfig(): string {
  let n = TOO_LARGE;
  for (let size = 16 << 10; size <= 2 << 20 && n == TOO_LARGE; size = size == 256 << 10 ? 2 << 20 : size << 2) {
    const buf = new ArrayBuffer(size);
    n = getConfig(changetype<usize>(buf), size);
    if (n >= 0 && n <= size) return decode(buf, n);
  }
  return "";
}

export function log(level: i32, text: string): void {
  const bytes = String.UTF8.encode(text);
  hostLog(level, changetype<usize>(bytes), bytes.byteLength);
}

export function submit(status: string, summary: string, more: string = ""): i32 {
  const doc = String.UTF8.encode(`{"status":"${status}","summary":${quote(summary)}${more}}`);
  return submitResult(changetype<usize>(doc), doc.byteLength);
}

// Answer is a response, or a code in failed.
export class Answer {
  failed: i32 = 0;
  text: string = "";
}

export function fetch(request: string): Answer {
  const req = String.UTF8.encode(request);
  const resp = new ArrayBuffer(4 << 20);
  const answer = new Answer();
  const n = httpRequest(changetype<usize>(req), req.byteLength, changetype<usize>(resp), resp.byteLength);
  if (n < 0) answer.failed = n;
  else answer.text = decode(resp, n);
  return answer;
}

export function sendDatagram(host: string, port: i32, data: string, timeoutMS: i32): i32 {
  const name = String.UTF8.encode(host);
  const bytes = String.UTF8.encode(data);
  return udpSendto(changetype<usize>(name), name.byteLength, port, changetype<usize>(bytes), bytes.byteLength, timeoutMS);
}

export function quote(s: string): string {
  let out = '"';
  for (let i = 0; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if (c == 0x22 || c == 0x5c) out += "\\" + s.charAt(i);
    else out += c < 0x20 ? " " : s.charAt(i);
  }
  return out + '"';
}

function blank(s: string, i: i32): i32 {
  while (i < s.length && (s.charCodeAt(i) == 0x20 || (s.charCodeAt(i) >= 9 && s.charCodeAt(i) <= 13))) i++;
  return i;
}

// skip finds the end of the value at i, or answers -1.
function skip(s: string, i: i32): i32 {
  let depth = 0;
  for (; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if (c == 0x22) {
      for (i++; i < s.length && s.charCodeAt(i) != 0x22; i++) if (s.charCodeAt(i) == 0x5c) i++;
      if (i >= s.length) return -1;
      if (depth == 0) return i + 1;
    } else if (c == 0x7b || c == 0x5b) {
      depth++;
    } else if (c == 0x7d || c == 0x5d) {
      if (depth == 0) return i;
      if (--depth == 0) return i + 1;
    } else if (depth == 0 && (c == 0x2c || c <= 0x20)) {
      return i;
    }
  }
  return depth ? -1 : i;
}

// raw finds a field of an object by its name and answers its value as it
// stands, or "".
export function raw(object: string, name: string): string {
  let i = blank(object, 0);
  if (i >= object.length || object.charCodeAt(i) != 0x7b) return "";
  for (i++; i > 0; i++) {
    const key = (i = blank(object, i));
    if (i >= object.length || object.charCodeAt(i) != 0x22 || (i = skip(object, i)) < 0) return "";
    const found = object.substring(key, i) == `"${name}"`;
    i = blank(object, i);
    if (i >= object.length || object.charCodeAt(i) != 0x3a) return "";
    const value = blank(object, i + 1);
    if ((i = skip(object, value)) < 0) return "";
    if (found) return object.substring(value, i);
    i = blank(object, i);
    if (i >= object.length || object.charCodeAt(i) != 0x2c) break;
  }
  return "";
}

// text is a field that is a string, or "".
export function text(object: string, name: string): string {
  const v = raw(object, name);
  if (v.length < 2 || v.charCodeAt(0) != 0x22) return "";
  let out = "";
  for (let i = 1; i < v.length - 1; i++) {
    if (v.charCodeAt(i) != 0x5c) {
      out += v.charAt(i);
      continue;
    }
    const c = v.charAt(++i);
    if (c == "u") {
      out += String.fromCharCode(<i32>parseInt(v.substring(i + 1, i + 5), 16));
      i += 4;
    } else {
      out += c == "n" ? "\n" : c == "r" ? "\r" : c == "t" ? "\t" : c == "b" ? "\b" : c == "f" ? "\f" : c;
    }
  }
  return out;
}

// number is a field that is a number, cut to a whole one, or 0.
export function number(object: string, name: string): i32 {
  const v = raw(object, name);
  if (v.length == 0 || (v.charCodeAt(0) != 0x2d && (v.charCodeAt(0) < 0x30 || v.charCodeAt(0) > 0x39))) return 0;
  return <i32>parseInt(v);
}

export function base64(s: string): string {
  const out = new ArrayBuffer((s.length * 3) / 4 + 3);
  let bits: u32 = 0, have = 0, n = 0;
  for (let i = 0; i < s.length; i++) {
    const c = s.charCodeAt(i);
    let six = -1;
    if (c >= 0x41 && c <= 0x5a) six = c - 0x41;
    else if (c >= 0x61 && c <= 0x7a) six = c - 0x61 + 26;
    else if (c >= 0x30 && c <= 0x39) six = c - 0x30 + 52;
    else if (c == 0x2b) six = 62;
    else if (c == 0x2f) six = 63;
    if (six < 0) break;
    bits = (bits << 6) | six;
    have += 6;
    if (have >= 8) {
      have -= 8;
      store<u8>(changetype<usize>(out) + n++, <u8>(bits >> have));
    }
  }
  return decode(out, n);
}
