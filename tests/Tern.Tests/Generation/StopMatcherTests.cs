using System.Text;
using Tern.Generation;

namespace Tern.Tests.Generation;

/// <summary>Stop strings at every place where tokens can cut them.</summary>
public sealed class StopMatcherTests
{
    public static TheoryData<string, string[], string> Texts => new()
    {
        // text, stop strings, what is left of the text
        { "Hello<end>world", ["<end>"], "Hello" },
        { "aaab", ["aab"], "a" },
        { "ababac!", ["abac"], "ab" },
        { "abcd", ["bc", "abcd"], "a" },
        { "xabc", ["bc", "abc"], "x" },
        { "no stop her", ["here"], "no stop her" },
        { "naïve – ☃ stop", ["☃"], "naïve – " },
        { "<end>", ["<end>"], "" },
        { "<en<end>d>", ["<end>"], "<en" },
        { "plain", [], "plain" },
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public void The_answer_ends_where_the_stop_string_begins_at_every_split(string text, string[] stops, string expected)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        byte[] left = Encoding.UTF8.GetBytes(expected);
        bool stopsAt = expected != text;
        for (int first = 0; first <= bytes.Length; first++)
            for (int second = first; second <= bytes.Length; second++)
            {
                var matcher = new StopMatcher(stops);
                bool stopped = matcher.Append(bytes.AsSpan(0, first)) || matcher.Append(bytes.AsSpan(first, second - first)) || matcher.Append(bytes.AsSpan(second));
                Assert.Equal(stopsAt, stopped);
                if (!stopped)
                    matcher.Finish();
                Assert.Equal(left.Length, matcher.Released);
            }
    }

    /// <summary>Beside a plain search, over an alphabet of two letters, where beginnings of stop strings are everywhere.</summary>
    [Fact]
    public void It_equals_a_plain_search_on_random_texts()
    {
        var random = new Random(5);
        for (int round = 0; round < 3000; round++)
        {
            string text = Letters(random, 20);
            string[] stops = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => Letters(random, random.Next(1, 6)))];
            var matcher = new StopMatcher(stops);
            for (int end = 1; end <= text.Length; end++)
            {
                bool stopped = matcher.Append([(byte)text[end - 1]]);
                string seen = text[..end];
                string? found = stops.Where(seen.EndsWith).MaxBy(s => s.Length);
                Assert.Equal(found is not null, stopped);
                int held = found?.Length ?? stops.Max(s => Enumerable.Range(0, s.Length).Where(n => seen.EndsWith(s[..n], StringComparison.Ordinal)).Max());
                Assert.Equal(end - held, matcher.Released);
                if (stopped)
                    break;
            }
        }
    }

    private static string Letters(Random random, int count) => string.Concat(Enumerable.Range(0, count).Select(_ => "ab"[random.Next(2)]));
}
