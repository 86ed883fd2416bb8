using System.Text;
using Tern.Text;
using Tern.Text.Templates;

namespace Tern.Training.Data;

/// <summary>
/// A chat as tokens with what is learned from it: the answers of the assistant and the token that ends each of them, nothing else.
/// <code>
/// template:   begin  user: question  assistant:  answer end   user: question  assistant:  answer end
/// learned:                                       ^^^^^^^^^^                               ^^^^^^^^^^
/// </code>
/// The places are found by rendering every beginning of the chat that ends in front of an answer and the one that ends behind it; the text between
/// the two is the answer. Parts are encoded one by one, as they are when the model is asked: the prompt first, then its answer token by token.
/// </summary>
internal sealed class ChatEncoder(ChatTemplate template, Tokenizer tokenizer)
{
    /// <summary>The role that is learned.</summary>
    public const string Assistant = "assistant";

    /// <summary>Encodes a chat.</summary>
    /// <param name="turns">At least one answer.</param>
    /// <param name="place">Where the chat stands, for messages.</param>
    /// <param name="tokens">Receives the tokens.</param>
    /// <param name="learned">Receives, for each, whether it is to be learned.</param>
    /// <exception cref="TernException">The template fails, or does not write a chat as a continuation of its beginning.</exception>
    public void Encode(IReadOnlyList<ChatTurn> turns, string place, List<int> tokens, List<bool> learned)
    {
        string done = "";
        for (int i = 0; i < turns.Count; i++)
        {
            if (turns[i].Role != Assistant)
                continue;
            Append(Render(turns, i, prompt: true), isAnswer: false);
            Append(Render(turns, i + 1, prompt: false), isAnswer: true);
        }

        void Append(string text, bool isAnswer)
        {
            if (!text.StartsWith(done, StringComparison.Ordinal))
                throw new TernException(ErrorKind.Template, $"{place}: the chat template does not write a longer chat as a continuation of a shorter one, so the answers cannot be told from the rest; take another template");
            string part = text[done.Length..];
            int[] ids = tokenizer.Encode(part, addSpecial: false, parseSpecial: true);
            Coverage.Check(tokenizer, Encoding.UTF8.GetBytes(part), ids, special: true, place);
            tokens.AddRange(ids);
            for (int n = 0; n < ids.Length; n++)
                learned.Add(isAnswer);
            done = text;
        }
    }

    private string Render(IReadOnlyList<ChatTurn> turns, int count, bool prompt) => template.Render(new TemplateInput
    {
        Messages = [.. turns.Take(count).Select(turn => new TemplateMessage(turn.Role, turn.Content))],
        AddGenerationPrompt = prompt,
    });
}
