using System.Globalization;
using System.Text;

namespace Tern.Cli.Chat;

/// <summary>An answer as far as it came.</summary>
/// <param name="Text">What was written.</param>
/// <param name="Usage">Counts and times, when it came to its end.</param>
internal sealed record Answer(string Text, Usage? Usage);

/// <summary>Writes an answer piece by piece, each one visible at once.</summary>
internal static class AnswerPrinter
{
    /// <summary>Writes until the answer ends or the token is cancelled; a cancelled answer is returned as far as it came.</summary>
    public static async Task<Answer> Write(IAsyncEnumerable<Chunk> answer, CancellationToken cancellation)
    {
        var text = new StringBuilder();
        Usage? usage = null;
        try
        {
            await foreach (Chunk chunk in answer.WithCancellation(cancellation))
            {
                text.Append(chunk.Text);
                Console.Out.Write(Console.IsOutputRedirected ? chunk.Text : WithoutControls(chunk.Text));
                Console.Out.Flush();
                usage = chunk.Usage ?? usage;
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The part that was written stays.
        }
        catch when (text.Length > 0)
        {
            Console.Out.WriteLine();
            throw;
        }

        if (text.Length == 0 || text[^1] != '\n')
            Console.Out.WriteLine();
        return new Answer(text.ToString(), usage);
    }

    /// <summary>One line with the speeds of an answer.</summary>
    public static string Describe(Usage usage)
    {
        double prompt = usage.PromptTime.TotalSeconds;
        double generation = usage.GenerationTime.TotalSeconds;
        // The first token comes out of the prompt's last step; the time of generation holds the others.
        string speed = usage.GeneratedTokens > 1 && generation > 0 ? Rate(usage.GeneratedTokens - 1, generation) : "–";
        string promptSpeed = prompt > 0 ? Rate(usage.PromptTokens - usage.CachedTokens, prompt) : "–";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{usage.GeneratedTokens} tokens at {speed} tok/s; prompt {usage.PromptTokens} tokens ({usage.CachedTokens} cached) at {promptSpeed} tok/s; first token after {prompt:0.000} s");
    }

    private static string Rate(int tokens, double seconds) => (tokens / seconds).ToString("0.0", CultureInfo.InvariantCulture);

    /// <summary>At a terminal a model must not move the cursor or change the title.</summary>
    private static string WithoutControls(string text)
    {
        if (!text.Any(IsHarmful))
            return text;
        return string.Concat(text.Select(c => IsHarmful(c) ? '\uFFFD' : c));
    }

    private static bool IsHarmful(char c) => char.IsControl(c) && c is not ('\n' or '\t');
}
