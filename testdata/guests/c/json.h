// json.h: reads the fields of one JSON object in place. It accepts what the
// host sends and what operators write; anything else reads as absent.
#ifndef JSON_H
#define JSON_H

#include <stdint.h>
#include <string.h>

// json is one value, as it stands in the document. at is 0 when there is none.
struct json {
  const char *at;
  size_t len;
};

static const char *json_blank(const char *p, const char *end) {
  while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
  return p;
}

// json_skip finds the end of the value at p, or answers 0.
static const char *json_skip(const char *p, const char *end) {
  int depth = 0;
  for (; p < end; p++) {
    if (*p == '"') {
      for (p++; p < end && *p != '"'; p++) p += *p == '\\';
      if (p >= end) return 0;
      if (depth == 0) return p + 1;
    } else if (*p == '{' || *p == '[') {
      depth++;
    } else if (*p == '}' || *p == ']') {
      if (depth == 0) return p;
      if (--depth == 0) return p + 1;
    } else if (depth == 0 && (*p == ',' || *p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
      return p;
    }
  }
  return depth ? 0 : p;
}

// json_get finds a field by its name, which must not need escapes.
static struct json json_get(struct json object, const char *name) {
  const struct json none = {0, 0};
  const char *end = object.at + object.len;
  if (!object.at) return none;
  const char *p = json_blank(object.at, end);
  if (p == end || *p != '{') return none;
  size_t want = strlen(name);
  for (p++;; p++) {
    p = json_blank(p, end);
    const char *key = p;
    if (p == end || *p != '"' || !(p = json_skip(p, end))) return none;
    int found = (size_t)(p - key) == want + 2 && !memcmp(key + 1, name, want);
    p = json_blank(p, end);
    if (p == end || *p != ':') return none;
    struct json value = {json_blank(p + 1, end), 0};
    if (!(p = json_skip(value.at, end))) return none;
    value.len = (size_t)(p - value.at);
    if (found) return value;
    p = json_blank(p, end);
    if (p == end || *p != ',') return none;
  }
}

// json_int reads a whole number; a fraction is cut off.
static int64_t json_int(struct json v, int64_t otherwise) {
  size_t i = v.len && *v.at == '-';
  int64_t n = 0;
  if (i == v.len || v.at[i] < '0' || v.at[i] > '9') return otherwise;
  for (; i < v.len && v.at[i] >= '0' && v.at[i] <= '9'; i++) {
    if (n > INT64_MAX / 10 - 1) return otherwise;
    n = n * 10 + (v.at[i] - '0');
  }
  return *v.at == '-' ? -n : n;
}

static int json_hex(const char *p) {
  int v = 0;
  for (int i = 0; i < 4; i++) {
    char c = p[i];
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return -1;
    v = v * 16 + digit;
  }
  return v;
}

static size_t json_utf8(char *out, uint32_t c) {
  if (c < 0x80) return out[0] = (char)c, 1;
  if (c < 0x800) return out[0] = (char)(0xc0 | c >> 6), out[1] = (char)(0x80 | (c & 63)), 2;
  if (c < 0x10000) return out[0] = (char)(0xe0 | c >> 12), out[1] = (char)(0x80 | (c >> 6 & 63)), out[2] = (char)(0x80 | (c & 63)), 3;
  return out[0] = (char)(0xf0 | c >> 18), out[1] = (char)(0x80 | (c >> 12 & 63)), out[2] = (char)(0x80 | (c >> 6 & 63)), out[3] = (char)(0x80 | (c & 63)), 4;
}

// json_text writes a string's bytes to out and answers how many, or -1 when
// the value is no string or longer than cap.
static int json_text(struct json v, char *out, size_t cap) {
  size_t n = 0;
  if (v.len < 2 || *v.at != '"') return -1;
  for (size_t i = 1; i < v.len - 1; i++) {
    if (n + 4 > cap) return -1;
    char c = v.at[i];
    if (c != '\\') {
      out[n++] = c;
      continue;
    }
    static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *known = strchr(plain, c = v.at[++i]);
    if (known && c) {
      out[n++] = meant[known - plain];
      continue;
    }
    int unit = c == 'u' && i + 4 < v.len - 1 ? json_hex(v.at + i + 1) : -1;
    if (unit < 0) return -1;
    i += 4;
    uint32_t rune = (uint32_t)unit;
    if (unit >= 0xd800 && unit < 0xdc00 && i + 6 < v.len && v.at[i + 1] == '\\' && v.at[i + 2] == 'u') {
      int low = json_hex(v.at + i + 3);
      if (low >= 0xdc00 && low < 0xe000) {
        rune = 0x10000 + ((rune - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
        i += 6;
      }
    }
    if (rune >= 0xd800 && rune < 0xe000) rune = 0xfffd;
    n += json_utf8(out + n, rune);
  }
  return (int)n;
}

// json_base64 decodes a string of standard base64 to out, which may be where
// the string stands. It answers the number of bytes, or -1.
static int json_base64(struct json v, char *out) {
  uint32_t bits = 0;
  int have = 0, n = 0;
  if (v.len < 2 || *v.at != '"') return -1;
  for (size_t i = 1; i < v.len - 1 && v.at[i] != '='; i++) {
    char c = v.at[i];
    int six = c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' ? 62 : c == '/' ? 63 : -1;
    if (six < 0) return -1;
    bits = bits << 6 | (uint32_t)six;
    if ((have += 6) >= 8) out[n++] = (char)(bits >> (have -= 8));
  }
  return n;
}

#endif
