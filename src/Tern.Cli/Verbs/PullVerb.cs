using System.CommandLine;
using Tern.Cli.Input;
using Tern.Cli.Options;
using Tern.Cli.Terminal;
using Tern.Hub;

namespace Tern.Cli.Verbs;

/// <summary><c>tern pull</c>: a model from the hub into the store. Standard output is the path of the model and nothing else.</summary>
internal static class PullVerb
{
    public static Command Create(Interrupt interrupt)
    {
        var name = new Argument<string>("NAME") { Description = "A name of 'tern list --available', owner/name, owner/name:file.gguf, owner/name:TYPE, owner/name@revision, or a web address of the hub." };
        Option<string?> file = OptionOf.Text("--file", "NAME", "The file of the repository to pull, or a type such as Q2_0.");
        Option<bool> allFiles = OptionOf.Flag("--all-files", "Pull every file of the repository. Nothing of it is ever run.");
        Option<int> streams = OptionOf.Integer("--streams", 1, 16, 4, "Ranges of a file to download side by side.");
        Option<bool> offline = StoreInput.Offline();
        var command = new Command("pull", "Download a model into the store; a download that was cut goes on.") { name, file, allFiles, streams, offline };
        command.SetAction(async (result, _) =>
        {
            HubSettings settings = HubSettings.FromEnvironment();
            settings = settings with { Offline = settings.Offline || result.GetValue(offline), Streams = result.GetValue(streams) };
            string wanted = result.GetValue(name)!;
            ModelStore store = StoreInput.Open();
            PullRequest request = PullRequest.TryFrom(wanted, settings.Hub) ?? throw Unknown(wanted);
            if (result.GetValue(file) is { } named)
            {
                if (request.Name.File is not null)
                    throw new UsageException($"'{wanted}' names a file already; --file names another");
                request = request with { Name = request.Name with { File = named }, File = named, AsDirectory = false, KnownSha256 = null };
            }

            request = request with { AllFiles = result.GetValue(allFiles) };
            if (settings.Offline && store.Find(request.Name) is { } present)
            {
                Console.Out.WriteLine(store.PathOf(new StoredModel(present, present.Main)));
                return ExitCode.Success;
            }

            Manifest pulled = await StoreInput.Pull(settings, store, request, interrupt.Token);
            Console.Out.WriteLine(store.PathOf(new StoredModel(pulled, pulled.Main)));
            return ExitCode.Success;
        });
        return command;
    }

    private static TernException Unknown(string name) =>
        new(ErrorKind.Request, $"'{name}' is no name of a model{CommandLineErrors.Suggestion(name, Catalog.All.Select(e => e.Name))}; 'tern list --available' shows short names, any other model is owner/name");
}
