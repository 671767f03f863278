// tcp-banner: connects, sends a line if told to, and judges the first line
// that comes back.
//
// Config: host and port (needed); send (text; \r\n is added); expect (text
// that the banner must begin with); contains (text that must occur in it);
// timeout_ms (0 = the host's own).
#include "host.h"
#include "json.h"
#include "text.h"

static char config[CONFIG_MOST], banner[4096], doc_bytes[16 << 10];

struct want {
  char host[256], send[1024], expect[256], contains[256];
  int host_len, send_len, expect_len, contains_len;
  uint32_t port, timeout;
};

static void submit(const char *status, const char *text, int code, size_t size, uint64_t ms) {
  struct text doc = {doc_bytes, 0, sizeof doc_bytes, 0};
  put(&doc, "{\"status\":\"");
  put(&doc, status);
  put(&doc, "\",\"summary\":");
  char summary[512];
  struct text line = {summary, 0, sizeof summary, 0};
  put(&line, text);
  if (code < 0) put(&line, " answered "), put_int(&line, code);
  put_quoted(&doc, line.at, line.len);
  put(&doc, ",\"observed_at\":\"");
  put_now(&doc);
  put(&doc, "\",\"details\":");
  put_quoted(&doc, banner, size);
  put(&doc, ",\"metrics\":[{\"name\":\"time\",\"unit\":\"ms\",\"min\":0,\"value\":");
  put_int(&doc, (int64_t)ms);
  put(&doc, "}]}");
  if (code < 0) host_log(LOG_ERROR, line.at, line.len);
  submit_result(doc.at, doc.len);
}

// read_line reads until a line is complete: one read may bring half of it.
static int read_line(uint32_t handle, uint32_t timeout, size_t *size) {
  while (*size < sizeof banner) {
    int n = tcp_read(handle, banner + *size, sizeof banner - *size, timeout);
    if (n <= 0) return n;
    char *end = memchr(banner + *size, '\n', (size_t)n);
    *size += (size_t)n;
    if (end) {
      *size = (size_t)(end - banner);
      break;
    }
  }
  while (*size && banner[*size - 1] == '\r') --*size;
  return 0;
}

static void talk(struct want *w) {
  size_t size = 0;
  uint64_t before = clock_ns(__WASI_CLOCKID_MONOTONIC);
  int handle = tcp_connect(w->host, (size_t)w->host_len, w->port, w->timeout);
  if (handle < 0) return submit("CRITICAL", "tcp_connect", handle, 0, 0);
  int code = 0;
  const char *where = "tcp_write";
  if (w->send_len > 0) {
    memcpy(w->send + w->send_len, "\r\n", 2);
    code = tcp_write((uint32_t)handle, w->send, (size_t)w->send_len + 2, w->timeout);
  }
  if (code >= 0) {
    where = "tcp_read";
    code = read_line((uint32_t)handle, w->timeout, &size);
  }
  tcp_close((uint32_t)handle);
  uint64_t ms = (clock_ns(__WASI_CLOCKID_MONOTONIC) - before) / 1000000;
  if (code < 0) return submit("CRITICAL", where, code, size, ms);
  if (w->expect_len > 0 && (size < (size_t)w->expect_len || memcmp(banner, w->expect, (size_t)w->expect_len)))
    return submit("CRITICAL", "banner begins otherwise", 0, size, ms);
  if (w->contains_len > 0 && !memmem(banner, size, w->contains, (size_t)w->contains_len))
    return submit("WARNING", "banner lacks the expected text", 0, size, ms);
  submit("OK", "banner as expected", 0, size, ms);
}

EXPORT("run_check") void run_check(void) {
  static struct want w;
  int n = read_config(config);
  struct json cfg = {config, n > 0 ? (size_t)n : 0};
  w.host_len = json_text(json_get(cfg, "host"), w.host, sizeof w.host);
  w.send_len = json_text(json_get(cfg, "send"), w.send, sizeof w.send - 2);
  w.expect_len = json_text(json_get(cfg, "expect"), w.expect, sizeof w.expect);
  w.contains_len = json_text(json_get(cfg, "contains"), w.contains, sizeof w.contains);
  w.port = (uint32_t)json_int(json_get(cfg, "port"), 0);
  w.timeout = (uint32_t)json_int(json_get(cfg, "timeout_ms"), 0);
  if (n < 0) return submit("UNKNOWN", "get_config", n, 0, 0);
  if (w.host_len <= 0 || !w.port) return submit("UNKNOWN", "config has no host or port", 0, 0, 0);
  talk(&w);
}
