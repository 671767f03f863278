// host.h: what the host offers, with the sizes that every SDK uses.
#ifndef HOST_H
#define HOST_H

#include <stddef.h>
#include <stdint.h>

#define FROM_HOST(name) __attribute__((import_module("env"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

FROM_HOST("get_config") int get_config(char *buf, size_t size);
FROM_HOST("log") void host_log(int level, const char *text, size_t size);  // log is a maths function
FROM_HOST("submit_result") int submit_result(const char *doc, size_t size);
FROM_HOST("last_error") int last_error(char *buf, size_t size);
FROM_HOST("http_request") int http_request(const char *req, size_t req_size, char *resp, size_t resp_size);
FROM_HOST("tcp_connect") int tcp_connect(const char *host, size_t size, uint32_t port, uint32_t timeout_ms);
FROM_HOST("tcp_read") int tcp_read(uint32_t handle, char *buf, size_t size, uint32_t timeout_ms);
FROM_HOST("tcp_write") int tcp_write(uint32_t handle, const char *buf, size_t size, uint32_t timeout_ms);
FROM_HOST("tcp_close") int tcp_close(uint32_t handle);

enum { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum { TOO_LARGE = -3 };

#define CONFIG_MOST (2 << 20)
#define RESPONSE_SIZE (4 << 20)

// read_config fills buf, which holds CONFIG_MOST bytes. It names ever larger
// sizes, and the next one only when the host says that one was too small.
static int read_config(char *buf) {
  static const size_t sizes[] = {16 << 10, 64 << 10, 256 << 10, CONFIG_MOST};
  int n = TOO_LARGE;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes && n == TOO_LARGE; i++) {
    n = get_config(buf, sizes[i]);
    if (n > (int)sizes[i]) return -1;  // a host that counts wrongly is not believed
  }
  return n;
}

#endif
