// http-check: asks for a URL and judges status, content and latency.
//
// Config: url (needed); method (GET); headers; expect_status (0 = any below
// 400); expect_body (text that must occur); warn_ms and crit_ms (0 = off);
// timeout_ms (0 = the host's own).
#include "host.h"
#include "json.h"
#include "text.h"

enum { OK, WARNING, CRITICAL };
static const char *const words[] = {"OK", "WARNING", "CRITICAL"};
static const char *const tones[] = {"success", "warning", "error"};

static char config[CONFIG_MOST], response[RESPONSE_SIZE], request_bytes[CONFIG_MOST], doc_bytes[64 << 10];

struct check {
  char url[8192], expect_body[1024], type[128];
  int url_len, expect_body_len, type_len;
  int64_t expect_status, warn, crit, timeout, status, size, ms;
};

static void read_check(struct check *c, struct json cfg) {
  c->url_len = json_text(json_get(cfg, "url"), c->url, sizeof c->url);
  c->expect_body_len = json_text(json_get(cfg, "expect_body"), c->expect_body, sizeof c->expect_body);
  c->expect_status = json_int(json_get(cfg, "expect_status"), 0);
  c->warn = json_int(json_get(cfg, "warn_ms"), 0);
  c->crit = json_int(json_get(cfg, "crit_ms"), 0);
  c->timeout = json_int(json_get(cfg, "timeout_ms"), 0);
}

// put_field copies a value of the config into the request as it stands.
static void put_field(struct text *t, struct json cfg, const char *name) {
  struct json v = json_get(cfg, name);
  if (!v.at) return;
  put(t, ",\"");
  put(t, name);
  put(t, "\":");
  put_bytes(t, v.at, v.len);
}

static int ask(struct check *c, struct json cfg) {
  struct text req = {request_bytes, 0, sizeof request_bytes, 0};
  put(&req, "{\"url\":");
  put_quoted(&req, c->url, (size_t)c->url_len);
  put_field(&req, cfg, "method");
  put_field(&req, cfg, "headers");
  put_field(&req, cfg, "timeout_ms");
  put(&req, "}");
  uint64_t before = clock_ns(__WASI_CLOCKID_MONOTONIC);
  int n = http_request(req.at, req.len, response, sizeof response);
  c->ms = (int64_t)((clock_ns(__WASI_CLOCKID_MONOTONIC) - before) / 1000000);
  return n;
}

static void put_metric(struct text *t, const char *name, const char *unit, int64_t value, int64_t warn, int64_t crit) {
  put(t, "{\"name\":\"");
  put(t, name);
  put(t, "\",\"value\":");
  put_int(t, value);
  if (*unit) {
    put(t, ",\"unit\":\"");
    put(t, unit);
    put(t, "\"");
  }
  if (warn > 0) put(t, ",\"warn\":"), put_int(t, warn);
  if (crit > 0) put(t, ",\"crit\":"), put_int(t, crit);
  put(t, ",\"min\":0}");
}

static void put_display(struct text *t, struct check *c, int status) {
  put(t, ",\"display\":[{\"widget\":\"status_badge\",\"label\":\"HTTP\",\"status\":\"");
  put(t, words[status]);
  put(t, "\"},{\"widget\":\"stat_card\",\"label\":\"Latency\",\"value\":\"");
  put_int(t, c->ms);
  put(t, " ms\",\"tone\":\"");
  put(t, tones[status]);
  put(t, "\"},{\"widget\":\"table\",\"layout\":\"full\",\"data\":{\"Status\":\"");
  put_int(t, c->status);
  put(t, "\",\"Content-Type\":");
  put_quoted(t, c->type, (size_t)c->type_len);
  put(t, ",\"Size\":\"");
  put_int(t, c->size);
  put(t, " B\"}},{\"widget\":\"markdown\",\"content\":\"**");
  put(t, words[status]);
  put(t, "**\"},{\"widget\":\"sparkline\",\"label\":\"Latency\",\"data\":[");
  put_int(t, c->ms);
  put(t, "]}]");
}

static void submit(struct check *c, int status, struct text *why) {
  struct text doc = {doc_bytes, 0, sizeof doc_bytes, 0};
  put(&doc, "{\"schema_version\":1,\"status\":\"");
  put(&doc, words[status]);
  put(&doc, "\",\"summary\":");
  put_quoted(&doc, why->at, why->len);
  put(&doc, ",\"details\":");
  put_quoted(&doc, c->url, (size_t)c->url_len);
  put(&doc, ",\"observed_at\":\"");
  put_now(&doc);
  put(&doc, "\",\"perfdata\":\"latency=");
  put_int(&doc, c->ms);
  put(&doc, "ms;");
  if (c->warn > 0) put_int(&doc, c->warn);
  put(&doc, ";");
  if (c->crit > 0) put_int(&doc, c->crit);
  put(&doc, ";0 size=");
  put_int(&doc, c->size);
  put(&doc, "B;;;0\",\"metrics\":[");
  put_metric(&doc, "latency", "ms", c->ms, c->warn, c->crit);
  put(&doc, ",");
  put_metric(&doc, "size", "B", c->size, 0, 0);
  put(&doc, ",");
  put_metric(&doc, "http_status", "", c->status, 0, 0);
  put(&doc, "],\"labels\":{\"http_status\":\"");
  put_int(&doc, c->status);
  put(&doc, "\",\"content_type\":");
  put_quoted(&doc, c->type, (size_t)c->type_len);
  put(&doc, "}");
  put_display(&doc, c, status);
  put(&doc, "}");
  if (!doc.full) submit_result(doc.at, doc.len);
}

// fail reports an answer that was a code, with the host's reason for it.
static void fail(const char *func, int code) {
  char reason[1024], text[1200];
  struct text why = {text, 0, sizeof text, 0};
  int n = last_error(reason, sizeof reason);
  put(&why, func);
  put(&why, " answered ");
  put_int(&why, code);
  if (n > 0) put(&why, ": "), put_bytes(&why, reason, (size_t)n);
  host_log(LOG_ERROR, why.at, why.len);
  struct text doc = {doc_bytes, 0, sizeof doc_bytes, 0};
  put(&doc, "{\"status\":\"CRITICAL\",\"summary\":");
  put_quoted(&doc, why.at, why.len);
  put(&doc, ",\"labels\":{\"code\":\"");
  put_int(&doc, code);
  put(&doc, "\"}}");
  submit_result(doc.at, doc.len);
}

// judge names the first thing that is wrong, the gravest first.
static int judge(struct check *c, const char *body, struct text *why) {
  int ok = c->expect_status ? c->status == c->expect_status : c->status < 400;
  put(why, "HTTP ");
  put_int(why, c->status);
  if (!ok) {
    if (c->expect_status) put(why, ", expected "), put_int(why, c->expect_status);
    return CRITICAL;
  }
  if (c->expect_body_len > 0 && !memmem(body, (size_t)c->size, c->expect_body, (size_t)c->expect_body_len)) {
    put(why, ", expected text is missing");
    return CRITICAL;
  }
  put(why, " in ");
  put_int(why, c->ms);
  put(why, " ms");
  if (c->crit > 0 && c->ms >= c->crit) return CRITICAL;
  return c->warn > 0 && c->ms >= c->warn ? WARNING : OK;
}

EXPORT("run_check") void run_check(void) {
  static struct check c;
  int n = read_config(config);
  if (n < 0) return fail("get_config", n);
  struct json cfg = {config, (size_t)n};
  read_check(&c, cfg);
  if (c.url_len <= 0) {
    static const char doc[] = "{\"status\":\"UNKNOWN\",\"summary\":\"config has no url\"}";
    submit_result(doc, sizeof doc - 1);
    return;
  }
  if ((n = ask(&c, cfg)) < 0) return fail("http_request", n);

  struct json answer = {response, (size_t)n};
  c.status = json_int(json_get(answer, "status"), 0);
  c.type_len = json_text(json_get(json_get(answer, "headers"), "content-type"), c.type, sizeof c.type);
  if (c.type_len < 0) c.type_len = 0;
  struct json body = json_get(answer, "body_base64");
  char *plain = body.at ? response + (body.at - response) : response;
  c.size = json_base64(body, plain);
  if (c.size < 0) c.size = 0;

  char text[256];
  struct text why = {text, 0, sizeof text, 0};
  int status = judge(&c, plain, &why);
  if (status != OK) host_log(LOG_WARN, why.at, why.len);
  submit(&c, status, &why);
}
