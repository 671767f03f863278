// text.h: text that grows in a fixed buffer. What does not fit is left out and
// noted in full, so that a cut document is never sent.
#ifndef TEXT_H
#define TEXT_H

#include <stdint.h>
#include <string.h>
#include <wasi/api.h>

struct text {
  char *at;
  size_t len, cap;
  int full;
};

static void put_bytes(struct text *t, const char *s, size_t n) {
  if (n > t->cap - t->len) {
    t->full = 1;
    return;
  }
  memcpy(t->at + t->len, s, n);
  t->len += n;
}

static void put(struct text *t, const char *s) { put_bytes(t, s, strlen(s)); }

static void put_int(struct text *t, int64_t v) {
  char digits[20];
  size_t i = sizeof digits;
  uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
  do {
    digits[--i] = (char)('0' + u % 10);
    u /= 10;
  } while (u);
  if (v < 0) put(t, "-");
  put_bytes(t, digits + i, sizeof digits - i);
}

// put_padded writes v in at least width digits.
static void put_padded(struct text *t, int64_t v, int width) {
  int64_t limit = 10;
  for (; width > 1; width--, limit *= 10) {}
  for (limit /= 10; limit > 1 && v < limit; limit /= 10) put(t, "0");
  put_int(t, v);
}

// put_quoted writes bytes as a JSON string; control characters become blanks.
static void put_quoted(struct text *t, const char *s, size_t n) {
  put(t, "\"");
  for (size_t i = 0; i < n; i++) {
    char c = s[i];
    if (c == '"' || c == '\\') put(t, "\\");
    if ((unsigned char)c < 0x20 || c == 0x7f) c = ' ';
    put_bytes(t, &c, 1);
  }
  put(t, "\"");
}

static uint64_t clock_ns(__wasi_clockid_t id) {
  __wasi_timestamp_t now = 0;
  if (__wasi_clock_time_get(id, 1000, &now) != 0) return 0;
  return now;
}

// put_now writes the time of the wall clock as RFC 3339 in UTC.
static void put_now(struct text *t) {
  uint64_t ms = clock_ns(__WASI_CLOCKID_REALTIME) / 1000000;
  uint64_t seconds = ms / 1000;
  // Years are counted from March, so that the leap day is the last of one.
  int64_t days = (int64_t)(seconds / 86400) + 719468;
  int64_t era = days / 146097, day = days % 146097;
  int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  day -= 365 * year + year / 4 - year / 100;
  int64_t month = (5 * day + 2) / 153;
  put_padded(t, year + era * 400 + (month >= 10), 4);
  put(t, "-");
  put_padded(t, month < 10 ? month + 3 : month - 9, 2);
  put(t, "-");
  put_padded(t, day - (153 * month + 2) / 5 + 1, 2);
  put(t, "T");
  put_padded(t, (int64_t)(seconds / 3600 % 24), 2);
  put(t, ":");
  put_padded(t, (int64_t)(seconds / 60 % 60), 2);
  put(t, ":");
  put_padded(t, (int64_t)(seconds % 60), 2);
  put(t, ".");
  put_padded(t, (int64_t)(ms % 1000), 3);
  put(t, "Z");
}

#endif
