from edgeproxy.wire.buckets import TokenBucket


def taken(bucket: TokenBucket, now: float) -> int:
    count = 0
    while bucket.take(now):
        count += 1
    return count


def test_a_full_bucket_gives_its_burst_at_once():
    assert taken(TokenBucket(5, 2.0), now=1000.0) == 5


def test_tokens_come_back_at_the_rate():
    bucket = TokenBucket(5, 2.0)
    taken(bucket, now=1000.0)
    assert taken(bucket, now=1001.0) == 2
    assert taken(bucket, now=1001.4) == 0
    assert taken(bucket, now=1001.5) == 1


def test_a_long_rest_fills_the_bucket_and_no_more():
    bucket = TokenBucket(5, 2.0)
    taken(bucket, now=1000.0)
    assert taken(bucket, now=9000.0) == 5


def test_a_half_empty_bucket_is_not_worth_two_bursts():
    bucket = TokenBucket(10, 1.0)
    for _ in range(5):
        assert bucket.take(1000.0)
    assert taken(bucket, now=9000.0) == 10


def test_what_is_given_back_can_be_taken_again_but_never_more_than_a_burst():
    bucket = TokenBucket(2, 0.0)
    bucket.give()
    assert taken(bucket, now=0.0) == 2
    bucket.give()
    assert taken(bucket, now=0.0) == 1
