using System.Text;
using Tern.Generation;
using Tern.Models;

namespace Tern.Tests.Generation;

/// <summary>
/// A forward step without a model. The next token follows from the last one and its position alone, as a function that each test
/// gives; keys and values are the tokens themselves, kept by page, so that a wrong page or position is seen at once.
/// </summary>
internal sealed class FakeModel
{
    private readonly int _width;
    private readonly Func<int, int, int> _next;
    private readonly int[] _cache; // [pages, tokens of a page]

    /// <param name="width">Numbers per row of output.</param>
    /// <param name="pages">Pages of the cache.</param>
    /// <param name="next">(sum of all tokens up to here, position) to the likeliest next token.</param>
    public FakeModel(int width, int pages, Func<int, int, int> next)
    {
        (_width, _next) = (width, next);
        _cache = new int[pages * 32];
    }

    /// <summary>Called before each pass.</summary>
    public Action<Batch> Before { get; set; } = _ => { };

    public void Forward(Batch batch, Span<float> output)
    {
        Before(batch);
        output.Clear();
        int row = 0, start = 0;
        foreach (ref readonly Slice slice in batch.Slices)
        {
            for (int i = 0; i < slice.Count; i++)
            {
                int position = slice.First + i;
                _cache[slice.Pages[position / 32] * 32 + position % 32] = batch.Tokens[start + i];
            }

            start += slice.Count;
            if (slice.Wants == LogitRows.None)
                continue;

            // Attention: everything up to here is read through the pages.
            int last = slice.First + slice.Count - 1, sum = 0;
            for (int position = 0; position <= last; position++)
                sum += _cache[slice.Pages[position / 32] * 32 + position % 32];
            output[row++ * _width + _next(sum, last)] = 10;
        }
    }

    /// <summary>A vocabulary in which token i is the i-th of the given texts.</summary>
    public static TokenTable Words(IReadOnlyList<string> words, params int[] stopIds)
    {
        byte[][] bytes = [.. words.Select(Encoding.UTF8.GetBytes)];
        return new TokenTable(words.Count, id => bytes[id], _ => [], new HashSet<int>(stopIds));
    }
}
