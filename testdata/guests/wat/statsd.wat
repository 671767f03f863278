;; statsd: sends one fixed datagram to statsd.test:8125 and submits OK, or
;; CRITICAL with the code as its last digit.
(module
  (import "env" "udp_sendto" (func $udp_sendto (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "submit_result" (func $submit_result (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "statsd.test")
  (data (i32.const 32) "sandcheck.alive:1|c")
  (data (i32.const 64) "{\"status\":\"OK\",\"summary\":\"sent\"}")
  (data (i32.const 128) "{\"status\":\"CRITICAL\",\"summary\":\"udp_sendto answered -0\"}")
  (func (export "run_check") (local $code i32)
    (local.set $code (call $udp_sendto
      (i32.const 16) (i32.const 11) (i32.const 8125)
      (i32.const 32) (i32.const 19) (i32.const 0)))
    (if (i32.ge_s (local.get $code) (i32.const 0))
      (then (drop (call $submit_result (i32.const 64) (i32.const 32))))
      (else
        ;; The digit stands before the last two bytes of 56.
        (i32.store8 (i32.const 181) (i32.sub (i32.const 48) (local.get $code)))
        (drop (call $submit_result (i32.const 128) (i32.const 56)))))))
