// http-check-as: asks for a URL and judges status and content. There is no
// clock in this language, so latency is not judged.
//
// Config: url (needed); method (GET); headers; timeout_ms (0 = the host's
// own); expect_status (0 = any below 400); expect_body (text that must occur).
import { base64, fetch, log, number, quote, raw, readConfig, submit, text } from "./host";

export function run_check(): void {
  const config = readConfig();
  const url = text(config, "url");
  if (url.length == 0) {
    submit("UNKNOWN", "config has no url");
    return;
  }
  let request = `{"url":${quote(url)}`;
  const fields = ["method", "headers", "timeout_ms"];
  for (let i = 0; i < fields.length; i++) {
    const value = raw(config, fields[i]);
    if (value.length > 0) request += `,"${fields[i]}":${value}`;
  }
  const answer = fetch(request + "}");
  if (answer.failed < 0) {
    const why = `http_request answered ${answer.failed}`;
    log(3, why);
    submit("CRITICAL", why);
    return;
  }
  judge(config, url, answer.text);
}

function judge(config: string, url: string, answer: string): void {
  const code = number(answer, "status");
  const body = base64(text(answer, "body_base64"));
  const type = text(raw(answer, "headers"), "content-type");
  const expected = number(config, "expect_status");
  let status = "OK";
  let summary = `HTTP ${code}, ${body.length} characters`;
  if (expected != 0 ? code != expected : code >= 400) {
    status = "CRITICAL";
    summary = expected != 0 ? `HTTP ${code}, expected ${expected}` : `HTTP ${code}`;
  } else if (!body.includes(text(config, "expect_body"))) {
    status = "CRITICAL";
    summary = `HTTP ${code}, expected text is missing`;
  }
  if (status != "OK") log(2, summary);
  const tone = status == "OK" ? "success" : "error";
  submit(status, summary, `,"details":${quote(url)},"perfdata":"http_status=${code} length=${body.length}"`
    + `,"metrics":[{"name":"http_status","value":${code}},{"name":"length","value":${body.length},"min":0}]`
    + `,"labels":{"http_status":"${code}","content_type":${quote(type)}}`
    + `,"display":[{"widget":"status_badge","label":"HTTP","status":"${status}"}`
    + `,{"widget":"stat_card","label":"Status","value":"${code}","tone":"${tone}"}]`);
}
