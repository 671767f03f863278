// udp-sender-as: sends one datagram.
//
// Config: host and port (needed); payload; timeout_ms (0 = the host's own).
import { log, number, readConfig, sendDatagram, submit, text } from "./host";

export function run_check(): void {
  const config = readConfig();
  const host = text(config, "host");
  const port = number(config, "port");
  if (host.length == 0 || port == 0) {
    submit("UNKNOWN", "config has no host or port");
    return;
  }
  const n = sendDatagram(host, port, text(config, "payload"), number(config, "timeout_ms"));
  if (n < 0) {
    log(3, `udp_sendto answered ${n}`);
    submit("CRITICAL", `udp_sendto answered ${n}`);
    return;
  }
  submit("OK", `sent ${n} bytes`, `,"metrics":[{"name":"sent","value":${n},"unit":"B","min":0}]`);
}
