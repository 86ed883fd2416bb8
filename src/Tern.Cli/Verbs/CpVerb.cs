using System.CommandLine;
using Tern.Cli.Input;
using Tern.Cli.Terminal;
using Tern.Hub;

namespace Tern.Cli.Verbs;

/// <summary><c>tern cp</c>: a second name for a model, which costs no space.</summary>
internal static class CpVerb
{
    public static Command Create(Interrupt interrupt)
    {
        var from = new Argument<string>("FROM") { Description = "A model of 'tern list'." };
        var to = new Argument<string>("TO") { Description = "The second name; a model that has it already loses it." };
        var command = new Command("cp", "Give a model of the store a second name.") { from, to };
        command.SetAction(result =>
        {
            ModelStore store = StoreInput.Open();
            StoredModel model = StoreInput.Find(store, result.GetValue(from)!);
            ModelName name = StoreName.Parse(result.GetValue(to)!);
            store.Commit(model.Manifest with { Name = name, Main = model.File }, interrupt.Token);
            Console.Out.WriteLine(name);
            return ExitCode.Success;
        });
        return command;
    }
}
