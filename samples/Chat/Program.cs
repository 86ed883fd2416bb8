// One question, one streamed answer: dotnet run --project samples/Chat -- model.gguf "Why is the sky blue?"
// Ctrl+C ends the answer, not the program's good manners.
using Microsoft.Extensions.AI;
using Tern;
using Tern.Extensions.AI;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: Chat <model.gguf> <question>");
    return 2;
}

using var cancellation = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    cancellation.Cancel();
};

try
{
    using IChatClient client = new TernChatClient(LanguageModel.Load(args[0]), ownsModel: true);
    var options = new ChatOptions { MaxOutputTokens = 256, Temperature = 0.7f };
    await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync(args[1], options, cancellation.Token))
        Console.Write(update.Text);
    Console.WriteLine();
    return 0;
}
catch (OperationCanceledException)
{
    Console.WriteLine("…");
    return 0;
}
catch (TernException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
