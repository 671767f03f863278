// sdk-mimic-rust: behaves at the boundary as a plugin built with the official
// Rust SDK does: it writes every field, also empty ones, into request and
// result, reads the envelope only, sends no metrics, and has no clock.
//
// Config: url.
include!("host.rs");

#[no_mangle]
pub extern "C" fn alloc(_size: usize) -> *mut u8 {
    panic!("no host may call this")
}

#[no_mangle]
pub extern "C" fn dealloc(_at: *mut u8, _size: usize) {
    panic!("no host may call this")
}

#[no_mangle]
pub extern "C" fn run_check() {
    host_log(0, "debug");
    host_log(1, "");
    let (status, summary) = match check() {
        Ok(text) => ("OK", text),
        Err(text) => {
            host_log(3, &text);
            ("CRITICAL", text)
        }
    };
    submit(&format!(
        r#"{{"schema_version":1,"status":"{status}","summary":{},"details":"","perfdata":"","metrics":[],"labels":{{}},"observed_at":"","display":[],"events":[],"alert_hint":false,"condition_id":"","check_instance_id":"","monitored_service_id":"","device_uid":"","device_discovery":null,"advisory_feeds":null}}"#,
        quote(&summary)
    ));
}

fn check() -> Result<String, String> {
    let config = Json::parse(&read_config().map_err(|code| format!("get_config answered {code}"))?);
    let request = format!(
        r#"{{"method":"GET","url":{},"headers":{{}},"body":"","body_base64":"","timeout_ms":0,"insecure_skip_verify":false,"response_mode":""}}"#,
        quote(config.get("url").text())
    );
    let response = Json::parse(&fetch(&request).map_err(|code| format!("http_request answered {code}"))?);
    let cookie = response.get("headers").get("set-cookie").text().split(';').next().unwrap_or("").to_string();
    let body = base64(response.get("body_base64").text()).ok_or("body is no base64")?;
    Ok(format!("envelope {} type {} cookie {} body {}", response.get("status").number(), response.get("headers").get("content-type").text(), cookie, body.len()))
}
