// http-check-rust: asks for a URL and judges status, content and latency.
//
// Config: url (needed); method (GET); headers; expect_status (0 = any below
// 400); expect_body (text that must occur); warn_ms and crit_ms (0 = off);
// timeout_ms (0 = the host's own).
include!("host.rs");

use std::time::{Instant, SystemTime, UNIX_EPOCH};

struct Answer {
    status: i64,
    content_type: String,
    body: Vec<u8>,
    ms: i64,
}

#[no_mangle]
pub extern "C" fn run_check() {
    let outcome = read_config().map_err(|code| format!("get_config answered {code}")).and_then(|bytes| check(&Json::parse(&bytes)));
    match outcome {
        Ok(doc) => submit(&doc),
        Err(why) => {
            host_log(3, &why);
            submit(&format!(r#"{{"status":"CRITICAL","summary":{}}}"#, quote(&why)));
        }
    }
}

fn check(config: &Json) -> Result<String, String> {
    if config.get("url").text().is_empty() {
        return Ok(r#"{"status":"UNKNOWN","summary":"config has no url"}"#.into());
    }
    let answer = ask(config)?;
    let (status, summary) = judge(config, &answer);
    if status != "OK" {
        host_log(2, &summary);
    }
    Ok(document(config, &answer, status, &summary))
}

fn ask(config: &Json) -> Result<Answer, String> {
    let mut fields = vec![];
    for name in ["url", "method", "headers", "timeout_ms"] {
        if config.get(name) != &Json::Null {
            fields.push((name.to_string(), config.get(name).clone()));
        }
    }
    let before = Instant::now();
    let response = fetch(&Json::Object(fields).write()).map_err(|code| format!("http_request answered {code}"))?;
    let ms = before.elapsed().as_millis() as i64;
    let response = Json::parse(&response);
    Ok(Answer {
        status: response.get("status").number(),
        content_type: response.get("headers").get("content-type").text().into(),
        body: base64(response.get("body_base64").text()).ok_or("http_request answered a body that is no base64")?,
        ms,
    })
}

/// Names the first thing that is wrong, the gravest first.
fn judge(config: &Json, answer: &Answer) -> (&'static str, String) {
    let expected = config.get("expect_status").number();
    if expected != 0 && answer.status != expected {
        return ("CRITICAL", format!("HTTP {}, expected {expected}", answer.status));
    }
    if expected == 0 && answer.status >= 400 {
        return ("CRITICAL", format!("HTTP {}", answer.status));
    }
    let text = config.get("expect_body").text().as_bytes();
    if !text.is_empty() && !answer.body.windows(text.len()).any(|w| w == text) {
        return ("CRITICAL", format!("HTTP {}, expected text is missing", answer.status));
    }
    let (warn, crit) = (config.get("warn_ms").number(), config.get("crit_ms").number());
    let status = match answer.ms {
        ms if crit > 0 && ms >= crit => "CRITICAL",
        ms if warn > 0 && ms >= warn => "WARNING",
        _ => "OK",
    };
    (status, format!("HTTP {} in {} ms", answer.status, answer.ms))
}

fn document(config: &Json, answer: &Answer, status: &str, summary: &str) -> String {
    let Answer { status: code, ms, .. } = answer;
    let size = answer.body.len();
    let kind = quote(&answer.content_type);
    let threshold = |name: &str| Some(config.get(name).number()).filter(|n| *n > 0);
    let (warn, crit) = (threshold("warn_ms"), threshold("crit_ms"));
    let text = |n: Option<i64>| n.map_or(String::new(), |n| n.to_string());
    let field = |name: &str, n: Option<i64>| n.map_or(String::new(), |n| format!(r#""{name}":{n},"#));
    let tone = match status {
        "OK" => "success",
        "WARNING" => "warning",
        _ => "error",
    };
    let fields = [
        r#""schema_version":1"#.to_string(),
        format!(r#""status":"{status}","summary":{},"details":{}"#, quote(summary), quote(config.get("url").text())),
        format!(r#""observed_at":"{}""#, now()),
        format!(r#""perfdata":"latency={ms}ms;{};{};0 size={size}B;;;0""#, text(warn), text(crit)),
        format!(
            r#""metrics":[{{"name":"latency","value":{ms},"unit":"ms",{}{}"min":0}},{{"name":"size","value":{size},"unit":"B","min":0}},{{"name":"http_status","value":{code},"min":0}}]"#,
            field("warn", warn),
            field("crit", crit)
        ),
        format!(r#""labels":{{"http_status":"{code}","content_type":{kind}}}"#),
        format!(
            r#""display":[{{"widget":"status_badge","label":"HTTP","status":"{status}"}},{{"widget":"stat_card","label":"Latency","value":"{ms} ms","tone":"{tone}"}},{{"widget":"table","layout":"full","data":{{"Status":"{code}","Content-Type":{kind},"Size":"{size} B"}}}},{{"widget":"markdown","content":"**{status}**"}},{{"widget":"sparkline","label":"Latency","data":[{ms}]}}]"#
        ),
    ];
    format!("{{{}}}", fields.join(","))
}

/// The wall clock as RFC 3339. Years are counted from March, so that the leap
/// day is the last of one.
fn now() -> String {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let days = seconds / 86400 + 719468;
    let (era, day) = (days / 146097, days % 146097);
    let year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    format!("{:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", year + era * 400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}
