;; A guest that speaks WebSocket to the URL in its config, a JSON string. Each
;; export is an entrypoint. Built by: wat2wasm guest.wat -o guest.wasm
(module
  (import "env" "get_config" (func $get_config (param i32 i32) (result i32)))
  (import "env" "submit_result" (func $submit_result (param i32 i32) (result i32)))
  (import "env" "websocket_connect" (func $connect (param i32 i32 i32) (result i32)))
  (import "env" "websocket_send" (func $send (param i32 i32 i32 i32) (result i32)))
  (import "env" "websocket_recv" (func $recv (param i32 i32 i32 i32) (result i32)))
  (import "env" "websocket_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "hello")
  (data (i32.const 64) "{\"status\":\"OK\",\"summary\":\"fine\"}")
  (data (i32.const 128) "{\"status\":\"CRITICAL\",\"summary\":\"not\"}")

  (func $submit (param $ok i32)
    (if (local.get $ok)
      (then (drop (call $submit_result (i32.const 64) (i32.const 32))))
      (else (drop (call $submit_result (i32.const 128) (i32.const 37))))))

  ;; the URL without its quotes, 5 s for the handshake
  (func $open (result i32)
    (call $connect
      (i32.const 1025)
      (i32.sub (call $get_config (i32.const 1024) (i32.const 1024)) (i32.const 2))
      (i32.const 5000)))

  ;; sends hello and expects it back, then closes twice
  (func (export "echo") (local $h i32) (local $ok i32)
    (local.set $h (call $open))
    (local.set $ok (i32.gt_s (local.get $h) (i32.const 0)))
    (local.set $ok (i32.and (local.get $ok)
      (i32.eq (call $send (local.get $h) (i32.const 0) (i32.const 5) (i32.const 1000)) (i32.const 5))))
    (local.set $ok (i32.and (local.get $ok)
      (i32.eq (call $recv (local.get $h) (i32.const 4096) (i32.const 64) (i32.const 5000)) (i32.const 5))))
    (local.set $ok (i32.and (local.get $ok)
      (i32.eq (i32.load (i32.const 4096)) (i32.load (i32.const 0)))))
    (local.set $ok (i32.and (local.get $ok)
      (i32.eqz (call $close (local.get $h)))))
    (local.set $ok (i32.and (local.get $ok)
      (i32.eq (call $close (local.get $h)) (i32.const -7))))
    (call $submit (local.get $ok)))

  ;; leaves the connection open
  (func (export "leave")
    (call $submit (i32.gt_s (call $open) (i32.const 0))))

  ;; leaves it open and traps
  (func (export "trap")
    (call $submit (i32.gt_s (call $open) (i32.const 0)))
    unreachable)

  ;; waits for a message until the run ends
  (func (export "wait")
    (drop (call $recv (call $open) (i32.const 4096) (i32.const 64) (i32.const 0)))))
