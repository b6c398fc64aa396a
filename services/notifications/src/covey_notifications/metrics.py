"""What is measured of sending."""

from prometheus_client import Counter, Gauge

SENT = Counter("covey_notifications_sent_total", "Messages that the mail server took", ["kind"])
PUT_OFF = Counter("covey_notifications_put_off_total", "Tries that failed and are made again", ["kind", "reason"])
FAILED = Counter("covey_notifications_failed_total", "Messages that could not be delivered", ["kind", "reason"])
OLDEST_WAITING_S = Gauge("covey_notifications_oldest_waiting_seconds", "For how long the oldest message has waited")
PASSED_OVER = Counter(
    "covey_notifications_passed_over_total", "Events that there are no texts for: of a purpose or kind not known here"
)
