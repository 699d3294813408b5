/* The embedded broker: librdkafka's mock cluster in a process of its own, for trying jobmill out.
 */
#include <errno.h>
#include <getopt.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOPICS = 32 };

typedef struct jm_broker_options {
    int brokers, partitions;
    const char *port_file;
    const char *topics[MAX_TOPICS];
    int n_topics;
} jm_broker_options;

static const char usage[] =
    "usage: jobmill-broker [--brokers N] [--partitions N] [--topic NAME]... [--port-file FILE]\n"
    "\n"
    "An embedded broker that speaks Kafka's protocol, for trying jobmill out on one machine. It "
    "is\n"
    "ephemeral: everything is in memory, at most 5 MiB a partition, and gone when it ends. Never "
    "for\n"
    "real work.\n"
    "\n"
    "  --brokers N       brokers in the cluster (1)\n"
    "  --partitions N    partitions of the topics named here (4); topics made by use have 4\n"
    "  --topic NAME      make this topic at start; may be repeated\n"
    "  --port-file FILE  write the address there once it is ready\n"
    "  --help, --version\n";

/* A whole number from lo to hi, or -1. */
static int parse_number(const char *text, int lo, int hi)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    return errno || *end || end == text || v < lo || v > hi ? -1 : (int)v;
}

/* Returns -1 to go on, otherwise the exit status. */
static int parse_options(jm_broker_options *options, int argc, char **argv)
{
    static const struct option table[] = {{"brokers", required_argument, NULL, 'b'},
                                          {"partitions", required_argument, NULL, 'n'},
                                          {"topic", required_argument, NULL, 't'},
                                          {"port-file", required_argument, NULL, 'f'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'v'},
                                          {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "h", table, NULL)) != -1;) {
        if (c == 'b')
            options->brokers = parse_number(optarg, 1, 10);
        else if (c == 'n')
            options->partitions = parse_number(optarg, 1, 1000);
        else if (c == 't' && options->n_topics < MAX_TOPICS)
            options->topics[options->n_topics++] = optarg;
        else if (c == 'f')
            options->port_file = optarg;
        else if (c == 'h')
            return fputs(usage, stdout), 0;
        else if (c == 'v')
            return puts("jobmill-broker " JM_VERSION), 0;
        else
            return fputs(usage, stderr), 2;
    }
    if (optind < argc || options->brokers < 0 || options->partitions < 0)
        return fputs(usage, stderr), 2;
    return -1;
}

static int write_port_file(const char *path, const char *address)
{
    FILE *f = fopen(path, "w");
    if (!f || fprintf(f, "%s\n", address) < 0 || fclose(f)) {
        fprintf(stderr, "jobmill-broker: %s: %s\n", path, strerror(errno));
        return -1;
    }
    return 0;
}

static int serve(const jm_broker_options *options, rd_kafka_t *rk, const sigset_t *stop)
{
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(rk, options->brokers);
    if (!cluster) {
        fprintf(stderr, "jobmill-broker: cannot start: no free port on 127.0.0.1\n");
        return 1;
    }
    for (int i = 0; i < options->n_topics; i++)
        rd_kafka_mock_topic_create(cluster, options->topics[i], options->partitions, 1);
    const char *address = rd_kafka_mock_cluster_bootstraps(cluster);
    int rc = options->port_file ? write_port_file(options->port_file, address) : 0;
    if (!rc) {
        printf("jobmill-broker: ready at %s\n", address);
        fflush(stdout);
        fprintf(stderr, "jobmill-broker: ephemeral: messages are kept in memory, at most 5 MiB a "
                        "partition; never for real work\n");
        int signo;
        sigwait(stop, &signo);
    }
    rd_kafka_mock_cluster_destroy(cluster);
    return rc ? 1 : 0;
}

/* The cluster's own handle says "connection closed" of every client that leaves: nothing to report.
 */
static void drop_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
    (void)rk, (void)level, (void)fac, (void)buf;
}

int main(int argc, char **argv)
{
    jm_broker_options options = {.brokers = 1, .partitions = 4};
    int status = parse_options(&options, argc, argv);
    if (status >= 0)
        return status;

    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL); /* before librdkafka's threads, which inherit it */
    signal(SIGPIPE, SIG_IGN);

    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, drop_log);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (!rk) {
        fprintf(stderr, "jobmill-broker: %s\n", text);
        rd_kafka_conf_destroy(conf);
        return 1;
    }
    status = serve(&options, rk, &stop);
    rd_kafka_destroy(rk);
    return status;
}
