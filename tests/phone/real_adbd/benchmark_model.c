// LiteRT's benchmark_model, as pushed to the phone: hands its arguments and folder to tests/phone/benchmark_helper.py,
// as tests/phone/benchmark_model.py does, and prints the answer. PHONE_ROOT is the phone's folder on this machine.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char buffer[1 << 16];

int main(int count, char **arguments) {
    struct sockaddr_un address = {AF_UNIX, "/data/helper"};
    int connection = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(connection, (void *)&address, sizeof address)) {
        perror("connect");
        return 9;
    }
    char folder[4096];
    if (!getcwd(folder, sizeof folder)) return 9;
    size_t length = snprintf(buffer, sizeof buffer, "%s%c%s%s", PHONE_ROOT, 0, PHONE_ROOT, folder);
    for (int index = 0; index < count && length < sizeof buffer; index++)
        length += snprintf(buffer + length, sizeof buffer - length, "%c%s", 0, arguments[index]);
    if (length >= sizeof buffer) return 9;
    unsigned char head[4] = {length >> 24, length >> 16, length >> 8, length};
    if (write(connection, head, 4) != 4 || write(connection, buffer, length) != (ssize_t)length) return 9;
    // Text, then a zero byte and the exit code; no code means that the tool is killed.
    char code[8] = "";
    size_t digits = 0;
    int ended = 0;
    for (ssize_t got; (got = read(connection, buffer, sizeof buffer)) > 0; fflush(stdout))
        for (ssize_t index = 0; index < got; index++) {
            if (ended && digits < sizeof code - 1) code[digits++] = buffer[index];
            else if (!buffer[index]) ended = 1;
            else putchar(buffer[index]);
        }
    if (ended && !digits) kill(getpid(), SIGKILL);
    return ended ? atoi(code) : 1;
}
