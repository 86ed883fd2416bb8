using Tern;

using LanguageModel model = LanguageModel.Load(args[0]);
var options = new GenerationOptions { MaxTokens = 32, Temperature = 0 };
await foreach (Chunk chunk in model.CompleteAsync("Once upon a time", options))
    Console.Write(chunk.Text);
