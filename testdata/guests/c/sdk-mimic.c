// sdk-mimic: behaves at the boundary as a plugin built with the official Go
// SDK does, for tests of the host. It exports allocators that trap, since no
// host may call them; sends empty data as pointer 0 and length 0; tells the
// two shapes of a response apart by its first bytes; finds content-type in
// exact lower case and takes a cookie up to its first semicolon.
//
// Config: url, and mode (status_body when absent, or envelope); host and port
// (when given: connect, write nothing, close twice).
#include "host.h"
#include "json.h"
#include "text.h"

static char config[CONFIG_MOST], response[RESPONSE_SIZE], doc_bytes[16 << 10];

EXPORT("alloc") void *alloc(size_t n) { (void)n; __builtin_trap(); }
EXPORT("dealloc") void dealloc(void *p, size_t n) { (void)p; (void)n; __builtin_trap(); }
EXPORT("malloc") void *never_malloc(size_t n) { (void)n; __builtin_trap(); }
EXPORT("free") void never_free(void *p) { (void)p; __builtin_trap(); }

// leading_status reads digits that a line feed ends; other responses are JSON.
static int leading_status(const char *p, int n, int *body) {
  int status = 0, i = 0;
  for (; i < n && p[i] >= '0' && p[i] <= '9' && i < 9; i++) status = status * 10 + (p[i] - '0');
  if (i == 0 || i == n || p[i] != '\n') return -1;
  *body = i + 1;
  return status;
}

static void put_header(struct text *t, struct json headers, const char *name, const char *as) {
  char value[1024];
  int n = json_text(json_get(headers, name), value, sizeof value);
  if (n < 0) return;
  char *end = memchr(value, ';', (size_t)n);
  put(t, as);
  put_bytes(t, value, end ? (size_t)(end - value) : (size_t)n);
}

static void describe(struct text *t, int n) {
  int body = 0, status = leading_status(response, n, &body);
  if (status >= 0) {
    put(t, "status_body ");
    put_int(t, status);
    put(t, " body ");
    put_int(t, n - body);
    return;
  }
  struct json answer = {response, (size_t)n};
  put(t, "envelope ");
  put_int(t, json_int(json_get(answer, "status"), -1));
  put_header(t, json_get(answer, "headers"), "content-type", " type ");
  put_header(t, json_get(answer, "headers"), "set-cookie", " cookie ");
  put(t, " body ");
  put_int(t, json_base64(json_get(answer, "body_base64"), response));
}

static void fetch(struct text *t, struct json cfg) {
  struct json url = json_get(cfg, "url"), mode = json_get(cfg, "mode");
  if (!url.at) return;
  char bytes[9 << 10];
  struct text req = {bytes, 0, sizeof bytes, 0};
  put(&req, "{\"method\":\"GET\",\"url\":");
  put_bytes(&req, url.at, url.len);
  put(&req, ",\"response_mode\":");
  if (mode.at) put_bytes(&req, mode.at, mode.len);
  else put(&req, "\"status_body\"");
  put(&req, "}");
  int n = http_request(req.at, req.len, response, sizeof response);
  put(t, " http ");
  if (n < 0) put_int(t, n);
  else describe(t, n);
}

static void connect(struct text *t, struct json cfg) {
  char host[256];
  int n = json_text(json_get(cfg, "host"), host, sizeof host);
  if (n < 0) return;
  int handle = tcp_connect(host, (size_t)n, (uint32_t)json_int(json_get(cfg, "port"), 0), 1000);
  put(t, " connect ");
  put_int(t, handle);
  if (handle <= 0) return;
  put(t, " write ");
  put_int(t, tcp_write((uint32_t)handle, 0, 0, 1000));
  put(t, " close ");
  put_int(t, tcp_close((uint32_t)handle));
  put(t, " again ");
  put_int(t, tcp_close((uint32_t)handle));
}

EXPORT("run_check") void run_check(void) {
  static const char *const levels[] = {"debug", "info", "warn", "error"};
  for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) host_log(i, levels[i], strlen(levels[i]));
  host_log(LOG_INFO, 0, 0);

  struct text doc = {doc_bytes, 0, sizeof doc_bytes, 0};
  int n = read_config(config);
  struct json cfg = {config, n > 0 ? (size_t)n : 0};
  put(&doc, "{\"status\":\"OK\",\"summary\":\"config ");
  put_int(&doc, n);
  char text[4096];
  struct text what = {text, 0, sizeof text, 0};
  fetch(&what, cfg);
  connect(&what, cfg);
  put_bytes(&doc, what.at, what.len);
  put(&doc, "\"}");
  submit_result(doc.at, doc.len);
}
