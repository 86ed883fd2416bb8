using System.Text;
using System.Text.Json;
using Tern.Tests.Cli;
using Tern.Tests.Training.Data;
using Tern.Text;
using Tern.Training.Data;

namespace Tern.Tests.Training.Runs;

/// <summary>Chats, from a JSONL file to a model that answers: the answers alone are learned, whatever the user says.</summary>
public sealed class ChatRunTests : IDisposable
{
    private const int Chats = 24;

    private readonly TinyRun _run = new();

    public void Dispose() => _run.Dispose();

    [Fact]
    public void The_user_s_words_change_nothing_of_what_is_learned()
    {
        string tokenizer = _run.Folder.File("chat.gguf");
        TernProcess.Run("train-tokenizer", _run.Text, "--vocabulary", "384", "--chat-template", "chatml", "-o", tokenizer).AssertSucceeds();
        string expected = string.Concat(Enumerable.Range(0, Chats).Select(i => $"{Answer(i, 0)}<|im_end|>\n{Answer(i, 1)}<|im_end|>\n"));

        // The second users talk more, and about something else.
        (string learned, long heldOut) = Train("one", tokenizer, i => TinyCorpus.Text(1000 + i, 6));
        Assert.Equal(expected, learned);
        Assert.Equal((learned, heldOut), Train("other", tokenizer, i => "TELL me: " + TinyCorpus.Text(5000 + i, 15)));
        Assert.True(heldOut > 0);

        TernProcess.Run("run", _run.In("one", "model.gguf"), "the cat", "-n", "3", "--temp", "0", "--no-tune").AssertSucceeds();
    }

    [Fact]
    public void Chats_without_a_template_are_refused()
    {
        string chats = WriteChats("chats", _ => "the cat");
        TernResult result = _run.Run("run", 2, "--data", chats);
        Assert.Contains("chats.jsonl: line 1 at offset 0", result.Error, StringComparison.Ordinal);
        Assert.Contains("--chat-template", result.Error, StringComparison.Ordinal);
        Assert.Equal(1, result.ExitCode);
    }

    /// <summary>Trains, and gives the text of all tokens that are learned, and how many of the held-out ones were scored.</summary>
    private (string Learned, long HeldOutTokens) Train(string name, string tokenizer, Func<int, string> user)
    {
        _run.Run(name, 4, "--data", WriteChats(name, user), "--tokenizer", tokenizer, "--evaluate-sequences", "1000").AssertSucceeds();
        Tokenizer words = TinyCorpus.Open(tokenizer).Tokenizer;
        using TokenCache cache = TokenCache.Open(_run.In(name, "tokens.bin"), words.Count);
        var ids = new int[cache.Tokens];
        var learned = new bool[ids.Length];
        cache.Read(0, ids, learned);
        Assert.Equal(Chats, cache.Documents.Count);
        long heldOut = TinyRun.Log(_run.In(name))[^1].GetProperty("heldOutTokens").GetInt64();
        return (words.Decode([.. ids.Where((_, i) => learned[i])], special: true), heldOut);
    }

    /// <summary>Chats of two questions and two answers; only the questions depend on the caller.</summary>
    private string WriteChats(string name, Func<int, string> user)
    {
        var lines = new StringBuilder();
        for (int i = 0; i < Chats; i++)
        {
            (string Role, string Content)[] turns = [("user", user(2 * i)), ("assistant", Answer(i, 0)), ("user", user((2 * i) + 1)), ("assistant", Answer(i, 1))];
            lines.Append("{\"messages\": [").AppendJoin(", ", turns.Select(turn => $"{{\"role\": \"{turn.Role}\", \"content\": {JsonSerializer.Serialize(turn.Content)}}}")).Append("]}\n");
        }

        return _run.Folder.Write(name + ".jsonl", Encoding.UTF8.GetBytes(lines.ToString()));
    }

    private static string Answer(int chat, int turn) => TinyCorpus.Text((10 * chat) + turn, 12);
}
